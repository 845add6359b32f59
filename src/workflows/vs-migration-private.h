/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"
#include "vs-migration.h"

G_BEGIN_DECLS

/* What QEMU's query-migrate says. */
typedef struct {
  char *status;
  char *words; /* QEMU's, when it failed */
  gint64 remaining;
  gint64 total;
  gboolean blocked;
} VsMigrationLook;

void vs_migration_look_clear (VsMigrationLook *look);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VsMigrationLook, vs_migration_look_clear)

gboolean vs_migration_look (VsRun *run,
                            VsMigrationLook *look,
                            GError **error);
gboolean vs_migration_is_under_way (const char *status);
gboolean vs_migration_check_sparse (VsRun *run,
                                    GError **error);
gboolean vs_migration_configure (VsRun *run,
                                 gboolean sparse,
                                 gboolean direct,
                                 GError **error);
char *vs_migration_lend_stream (VsRun *run,
                                int fd,
                                GError **error);
char *vs_migration_lend_sparse (VsRun *run,
                                int fd,
                                int direct_fd,
                                guint64 offset,
                                gint64 *set,
                                GError **error);
void vs_migration_take_back (VsRun *run,
                             gint64 set);
gboolean vs_migration_wait_for_news (VsRun *run,
                                     QmpWatch *watch,
                                     gboolean *ended,
                                     GError **error);
void vs_migration_prefer (GError **error,
                          GError *better);

G_END_DECLS
