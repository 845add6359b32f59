/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-types.h>

G_BEGIN_DECLS

const char *vmsnap_domain_get_name (VmSnapDomain *domain);
const char *vmsnap_domain_get_uuid (VmSnapDomain *domain);
VmSnapDomainState vmsnap_domain_get_state (VmSnapDomain *domain);
VmSnapStateReason vmsnap_domain_get_state_reason (VmSnapDomain *domain);
gboolean vmsnap_domain_is_persistent (VmSnapDomain *domain);
guint64 vmsnap_domain_get_memory (VmSnapDomain *domain);
guint vmsnap_domain_get_vcpus (VmSnapDomain *domain);
gboolean vmsnap_domain_has_managed_save (VmSnapDomain *domain);
gboolean vmsnap_domain_has_guest_agent (VmSnapDomain *domain);
GVariant *vmsnap_domain_get_disks (VmSnapDomain *domain);
VmSnapJob *vmsnap_domain_get_job (VmSnapDomain *domain);
VmSnapSnapshot *vmsnap_domain_get_current_snapshot (VmSnapDomain *domain);
GList *vmsnap_domain_get_snapshots (VmSnapDomain *domain);
VmSnapSnapshot *vmsnap_domain_find_snapshot (VmSnapDomain *domain, const char *name);

void vmsnap_domain_start (VmSnapDomain *domain,
                          GVariant *options,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
VmSnapJob *vmsnap_domain_start_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *
vmsnap_domain_start_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_shutdown (VmSnapDomain *domain,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
gboolean vmsnap_domain_shutdown_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean
vmsnap_domain_shutdown_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_power_off (VmSnapDomain *domain,
                              GVariant *options,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data);
gboolean vmsnap_domain_power_off_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean
vmsnap_domain_power_off_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_reset (VmSnapDomain *domain,
                          GVariant *options,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
gboolean vmsnap_domain_reset_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean vmsnap_domain_reset_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_pause (VmSnapDomain *domain,
                          GVariant *options,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
gboolean vmsnap_domain_pause_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean vmsnap_domain_pause_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_resume (VmSnapDomain *domain,
                           GVariant *options,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
gboolean vmsnap_domain_resume_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean vmsnap_domain_resume_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_undefine (VmSnapDomain *domain,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
gboolean vmsnap_domain_undefine_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean
vmsnap_domain_undefine_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_get_xml (VmSnapDomain *domain,
                            GVariant *options,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data);
char *vmsnap_domain_get_xml_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
char *vmsnap_domain_get_xml_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_save (VmSnapDomain *domain,
                         int fd,
                         GVariant *options,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data);
VmSnapJob *vmsnap_domain_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *
vmsnap_domain_save_sync (VmSnapDomain *domain, int fd, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_save_to_file (VmSnapDomain *domain,
                                 GFile *file,
                                 GVariant *options,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
VmSnapJob *vmsnap_domain_save_to_file_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_domain_save_to_file_sync (VmSnapDomain *domain,
                                            GFile *file,
                                            GVariant *options,
                                            GCancellable *cancellable,
                                            GError **error);
void vmsnap_domain_managed_save (VmSnapDomain *domain,
                                 GVariant *options,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
VmSnapJob *vmsnap_domain_managed_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *
vmsnap_domain_managed_save_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_remove_managed_save (VmSnapDomain *domain,
                                        GVariant *options,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data);
gboolean vmsnap_domain_remove_managed_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
gboolean vmsnap_domain_remove_managed_save_sync (VmSnapDomain *domain,
                                                 GVariant *options,
                                                 GCancellable *cancellable,
                                                 GError **error);
void vmsnap_domain_create_snapshot (VmSnapDomain *domain,
                                    const char *name,
                                    GVariant *options,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
VmSnapJob *vmsnap_domain_create_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_domain_create_snapshot_sync (VmSnapDomain *domain,
                                               const char *name,
                                               GVariant *options,
                                               GCancellable *cancellable,
                                               GError **error);
void vmsnap_domain_create_snapshot_from_xml (VmSnapDomain *domain,
                                             const char *xml,
                                             GVariant *options,
                                             GCancellable *cancellable,
                                             GAsyncReadyCallback callback,
                                             gpointer user_data);
VmSnapJob *vmsnap_domain_create_snapshot_from_xml_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_domain_create_snapshot_from_xml_sync (VmSnapDomain *domain,
                                                        const char *xml,
                                                        GVariant *options,
                                                        GCancellable *cancellable,
                                                        GError **error);
void vmsnap_domain_redefine_snapshot (VmSnapDomain *domain,
                                      const char *xml,
                                      GVariant *options,
                                      GCancellable *cancellable,
                                      GAsyncReadyCallback callback,
                                      gpointer user_data);
VmSnapJob *vmsnap_domain_redefine_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_domain_redefine_snapshot_sync (VmSnapDomain *domain,
                                                 const char *xml,
                                                 GVariant *options,
                                                 GCancellable *cancellable,
                                                 GError **error);
void vmsnap_domain_get_snapshot (VmSnapDomain *domain,
                                 const char *name,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
VmSnapSnapshot *vmsnap_domain_get_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
VmSnapSnapshot *
vmsnap_domain_get_snapshot_sync (VmSnapDomain *domain, const char *name, GCancellable *cancellable, GError **error);
void vmsnap_domain_list_snapshots (VmSnapDomain *domain,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data);
GList *vmsnap_domain_list_snapshots_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
GList *
vmsnap_domain_list_snapshots_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_domain_screenshot (VmSnapDomain *domain,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
GInputStream *vmsnap_domain_screenshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error);
GInputStream *vmsnap_domain_screenshot_sync (VmSnapDomain *domain, GCancellable *cancellable, GError **error);

G_END_DECLS
