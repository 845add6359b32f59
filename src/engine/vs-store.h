/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* In a domain's own directory: the definition for its next start; the managed save, and what isn't one yet. */
#define VS_STORE_DEFINITION "domain.xml"
#define VS_STORE_MANAGED_SAVE "managed-save"
#define VS_STORE_MANAGED_SAVE_PART "managed-save.part"

/* A folder in it: the memory of its snapshots. */
#define VS_STORE_MEMORY "memory"

/* Another: one small file for each file of its disks that the service made itself, see vs-own-files.h. */
#define VS_STORE_OWN_FILES "files"

#define VS_TYPE_STORE (vs_store_get_type ())
G_DECLARE_FINAL_TYPE (VsStore, vs_store, VS, STORE, GObject)

/**
 * VsStore:
 *
 * Where everything lies: `<state>/domains/<uuid>/` holds what must survive a reboot, one object a file, written
 * durably, readable by a person, mode 0600; `<runtime>/guests/<uuid>/` holds what is true while a guest runs. Immutable
 * after construction, so its functions may be called from any thread; two callers never write the same file, for an
 * object has one owner.
 */
VsStore *vs_store_new (const char *state_dir,
                       const char *runtime_dir,
                       const char *log_dir);
gboolean vs_store_prepare (VsStore *self,
                           GError **error);
void vs_store_recover (VsStore *self);

const char *vs_store_get_state_dir (VsStore *self);
const char *vs_store_get_runtime_dir (VsStore *self);
const char *vs_store_get_log_dir (VsStore *self);

char *vs_store_get_domain_dir (VsStore *self,
                               const char *uuid);

/* What there is */
GStrv vs_store_list_domains (VsStore *self);
GStrv vs_store_list_files (VsStore *self,
                           const char *uuid,
                           const char *folder,
                           const char *suffix);

/* One file: @folder is NULL for the domain's own directory */
char *vs_store_get_path (VsStore *self,
                         const char *uuid,
                         const char *folder,
                         const char *file);
gboolean vs_store_make_folder (VsStore *self,
                               const char *uuid,
                               const char *folder,
                               GError **error);
char *vs_store_read (VsStore *self,
                     const char *uuid,
                     const char *folder,
                     const char *file,
                     GError **error);
gboolean vs_store_write (VsStore *self,
                         const char *uuid,
                         const char *folder,
                         const char *file,
                         const char *data,
                         gssize length,
                         GError **error);
gboolean vs_store_remove (VsStore *self,
                          const char *uuid,
                          const char *folder,
                          const char *file,
                          GError **error);
gboolean vs_store_rename (VsStore *self,
                          const char *uuid,
                          const char *folder,
                          const char *file,
                          const char *new_file,
                          GError **error);
void vs_store_set_aside (VsStore *self,
                         const char *uuid,
                         const char *folder,
                         const char *file,
                         const GError *why);
gboolean vs_store_remove_domain (VsStore *self,
                                 const char *uuid,
                                 GError **error);
gboolean vs_store_remove_definition (VsStore *self,
                                     const char *uuid,
                                     GError **error);
void vs_store_remove_transient (VsStore *self,
                                const char *uuid);
void vs_store_tidy_domain (VsStore *self,
                           const char *uuid);

G_END_DECLS
