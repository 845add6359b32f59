/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"
#include "vs-migration.h"

G_BEGIN_DECLS

/* How long a guest may stop that is written while it runs, in milliseconds, when all goes well. */
#define VS_MIGRATION_DOWNTIME_LIMIT 50

/**
 * VsMigrationWays:
 * @VS_MIGRATION_PLAIN: one stream of a guest that stands still
 * @VS_MIGRATION_SPARSE: each page has its place in the file
 * @VS_MIGRATION_DIRECT: past the page cache, with @VS_MIGRATION_SPARSE
 * @VS_MIGRATION_BACKGROUND: the memory as it is at the beginning, while the guest runs on
 * @VS_MIGRATION_PRECOPY: while the guest runs, what it changes again and again, and the last of it stopped
 *
 * How QEMU writes a guest.
 */
typedef enum {
  VS_MIGRATION_PLAIN = 0,
  VS_MIGRATION_SPARSE = 1 << 0,
  VS_MIGRATION_DIRECT = 1 << 1,
  VS_MIGRATION_BACKGROUND = 1 << 2,
  VS_MIGRATION_PRECOPY = 1 << 3,
} VsMigrationWays;

/* What QEMU's query-migrate says. */
typedef struct {
  char *status;
  char *words; /* QEMU's, when it failed */
  gint64 remaining;
  gint64 total;
  gint64 transferred;
  gint64 rounds; /* how many times what has changed was gathered */
  gint64 pages;  /* how many of the memory have been written */
  gboolean blocked;
} VsMigrationLook;

void vs_migration_look_clear (VsMigrationLook *look);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VsMigrationLook, vs_migration_look_clear)

gboolean vs_migration_look (VsRun *run,
                            VsMigrationLook *look,
                            GError **error);
gboolean vs_migration_look_on (VsRun *run,
                               VsMigrationLook *look,
                               GError **error);
gboolean vs_migration_is_under_way (const char *status);
gboolean vs_migration_check_sparse (VsRun *run,
                                    GError **error);
gboolean vs_migration_configure (VsRun *run,
                                 VsMigrationWays ways,
                                 GError **error);
char *vs_migration_lend_stream (VsRun *run,
                                int fd,
                                GError **error);
char *vs_migration_lend_sparse (VsRun *run,
                                int fd,
                                int direct_fd,
                                guint64 offset,
                                VsMigrationWays ways,
                                gint64 *set,
                                GError **error);
void vs_migration_take_back (VsRun *run,
                             gint64 set);
char *vs_migration_lend (VsRun *run,
                         VsImageWriter *writer,
                         VsImageEncoding encoding,
                         VsMigrationWays ways,
                         gint64 *set,
                         GError **error);
QmpWatch *vs_migration_watch (VsRun *run,
                              GError **error);
void vs_migration_set_save_error (VsRun *run,
                                  const VsMigrationLook *look,
                                  GError **error);
void vs_migration_find_cause (VsRun *run,
                              VsImageWriter *writer,
                              GError **error);
gboolean vs_migration_wait_for_news (VsRun *run,
                                     QmpWatch *watch,
                                     gboolean *ended,
                                     GError **error);
void vs_migration_prefer (GError **error,
                          GError *better);

G_END_DECLS
