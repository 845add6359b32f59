/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-types.h>

G_BEGIN_DECLS

void vmsnap_client_new (GBusType bus_type, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
VmSnapClient *vmsnap_client_new_finish (GAsyncResult *result, GError **error);
VmSnapClient *vmsnap_client_new_sync (GBusType bus_type, GCancellable *cancellable, GError **error);
void vmsnap_client_new_for_connection (GDBusConnection *connection,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer user_data);
VmSnapClient *vmsnap_client_new_for_connection_finish (GAsyncResult *result, GError **error);
VmSnapClient *
vmsnap_client_new_for_connection_sync (GDBusConnection *connection, GCancellable *cancellable, GError **error);

GDBusConnection *vmsnap_client_get_connection (VmSnapClient *client);
GDBusObjectManager *vmsnap_client_get_object_manager (VmSnapClient *client);
char *vmsnap_client_dup_name_owner (VmSnapClient *client);
gboolean vmsnap_client_get_service_running (VmSnapClient *client);
gboolean vmsnap_client_get_interactive (VmSnapClient *client);
void vmsnap_client_set_interactive (VmSnapClient *client, gboolean interactive);
gboolean vmsnap_client_catch_up_sync (VmSnapClient *client, GCancellable *cancellable, GError **error);

VmSnapDBusManager *vmsnap_client_get_manager (VmSnapClient *client);
GList *vmsnap_client_get_domains (VmSnapClient *client);
GList *vmsnap_client_get_jobs (VmSnapClient *client);
VmSnapDomain *vmsnap_client_lookup_domain (VmSnapClient *client, const char *path);
VmSnapSnapshot *vmsnap_client_lookup_snapshot (VmSnapClient *client, const char *path);
VmSnapJob *vmsnap_client_lookup_job (VmSnapClient *client, const char *path);
VmSnapDomain *vmsnap_client_find_domain (VmSnapClient *client, const char *name_or_uuid, GError **error);

void vmsnap_client_get_domain_by_name (VmSnapClient *client,
                                       const char *name,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer user_data);
VmSnapDomain *vmsnap_client_get_domain_by_name_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapDomain *vmsnap_client_get_domain_by_name_sync (VmSnapClient *client,
                                                     const char *name,
                                                     GCancellable *cancellable,
                                                     GError **error);
void vmsnap_client_get_domain_by_uuid (VmSnapClient *client,
                                       const char *uuid,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer user_data);
VmSnapDomain *vmsnap_client_get_domain_by_uuid_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapDomain *vmsnap_client_get_domain_by_uuid_sync (VmSnapClient *client,
                                                     const char *uuid,
                                                     GCancellable *cancellable,
                                                     GError **error);
void vmsnap_client_define_domain (VmSnapClient *client,
                                  const char *xml,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
VmSnapDomain *vmsnap_client_define_domain_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapDomain *vmsnap_client_define_domain_sync (VmSnapClient *client,
                                                const char *xml,
                                                GVariant *options,
                                                GCancellable *cancellable,
                                                GError **error);
void vmsnap_client_create_domain (VmSnapClient *client,
                                  const char *xml,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
VmSnapDomain *
vmsnap_client_create_domain_finish (VmSnapClient *client, GAsyncResult *result, VmSnapJob **job, GError **error);
VmSnapDomain *vmsnap_client_create_domain_sync (VmSnapClient *client,
                                                const char *xml,
                                                GVariant *options,
                                                VmSnapJob **job,
                                                GCancellable *cancellable,
                                                GError **error);
void vmsnap_client_restore_domain (VmSnapClient *client,
                                   int fd,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data);
VmSnapJob *vmsnap_client_restore_domain_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_client_restore_domain_sync (VmSnapClient *client,
                                              int fd,
                                              GVariant *options,
                                              GCancellable *cancellable,
                                              GError **error);
void vmsnap_client_restore_domain_from_file (VmSnapClient *client,
                                             GFile *file,
                                             GVariant *options,
                                             GCancellable *cancellable,
                                             GAsyncReadyCallback callback,
                                             gpointer user_data);
VmSnapJob *vmsnap_client_restore_domain_from_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapJob *vmsnap_client_restore_domain_from_file_sync (VmSnapClient *client,
                                                        GFile *file,
                                                        GVariant *options,
                                                        GCancellable *cancellable,
                                                        GError **error);
void vmsnap_client_inspect_image (VmSnapClient *client,
                                  int fd,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
VmSnapImageInfo *vmsnap_client_inspect_image_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapImageInfo *
vmsnap_client_inspect_image_sync (VmSnapClient *client, int fd, GCancellable *cancellable, GError **error);
void vmsnap_client_inspect_image_file (VmSnapClient *client,
                                       GFile *file,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer user_data);
VmSnapImageInfo *vmsnap_client_inspect_image_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
VmSnapImageInfo *
vmsnap_client_inspect_image_file_sync (VmSnapClient *client, GFile *file, GCancellable *cancellable, GError **error);
void vmsnap_client_rewrite_image (VmSnapClient *client,
                                  int fd,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
gboolean vmsnap_client_rewrite_image_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
gboolean vmsnap_client_rewrite_image_sync (VmSnapClient *client,
                                           int fd,
                                           GVariant *options,
                                           GCancellable *cancellable,
                                           GError **error);
void vmsnap_client_rewrite_image_file (VmSnapClient *client,
                                       GFile *file,
                                       GVariant *options,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer user_data);
gboolean vmsnap_client_rewrite_image_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error);
gboolean vmsnap_client_rewrite_image_file_sync (VmSnapClient *client,
                                                GFile *file,
                                                GVariant *options,
                                                GCancellable *cancellable,
                                                GError **error);

G_END_DECLS
