/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* What internal and external snapshots have in common while they are taken. */

/* Facts */
#define FACT_TAG "tag" /* its name inside a qcow2 file */
#define FACT_DESCRIPTION "description"
#define FACT_HALT "halt"
#define FACT_DISK_ONLY "disk-only" /* not there: it wasn't asked for; so with the next two */
#define FACT_LIVE "live"
#define FACT_PAUSE "pause"
#define FACT_ENCODING_WISH "encoding-wish" /* the caller said one; not there: it didn't */
#define FACT_PARENT "parent"
#define FACT_TIME "creation-time"
#define FACT_DOWNTIME "downtime" /* microseconds */
#define FACT_NVRAM "nvram"       /* file name of the kept variable store; none: there is none */
#define FACT_NO_METADATA "no-metadata"

gboolean vs_snapshot_create_check (VsDomain *domain,
                                   JsonObject *facts,
                                   GError **error);
VsSnapshotDef *vs_snapshot_create_describe (VsRun *run);
gboolean vs_snapshot_create_offline (VsRun *run,
                                     GError **error);
gint64 vs_snapshot_create_read_downtime (QmpWatch *watch);
gboolean vs_snapshot_create_tell_way (VsRun *run,
                                      gpointer data,
                                      GError **error);
gboolean vs_snapshot_create_tell (VsRun *run,
                                  gpointer data,
                                  GError **error);

G_END_DECLS
