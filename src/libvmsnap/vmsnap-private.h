/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmsnap-image.h"
#include "vmsnap-types.h"

#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/* The path that stands for 'none' in a property. */
#define VMSNAP_NO_OBJECT "/"

/* vmsnap-call.c: method calls. The source of a call is a VmSnapClient (its calls go to the manager object) or one of
 * the proxies (its calls go to its own object). */
GVariant *_vmsnap_options (GVariant *options);
gboolean _vmsnap_options_check (GVariant *options, GError **error);
void _vmsnap_call (gpointer source,
                   const char *method,
                   GVariant *parameters,
                   GCancellable *cancellable,
                   GAsyncReadyCallback callback,
                   gpointer user_data,
                   gpointer tag);
void _vmsnap_call_with_fds (gpointer source,
                            const char *method,
                            GVariant *parameters,
                            GUnixFDList *fds,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data,
                            gpointer tag);
GVariant *_vmsnap_call_finish (gpointer source, GAsyncResult *result, gpointer tag, GUnixFDList **fds, GError **error);
GVariant *_vmsnap_call_sync (gpointer source,
                             const char *method,
                             GVariant *parameters,
                             GUnixFDList **fds,
                             GCancellable *cancellable,
                             GError **error);
GVariant *_vmsnap_call_with_fds_sync (gpointer source,
                                      const char *method,
                                      GVariant *parameters,
                                      GUnixFDList *fds,
                                      GUnixFDList **reply_fds,
                                      GCancellable *cancellable,
                                      GError **error);
gboolean _vmsnap_take_nothing (GVariant *reply);
char *_vmsnap_take_string (GVariant *reply);
GInputStream *_vmsnap_take_stream (GVariant *reply, GUnixFDList *fds, GError **error);

/* vmsnap-call-objects.c: method calls whose reply names objects; they come as proxies, in the order of the reply. */
void _vmsnap_call_for_objects (gpointer source,
                               const char *method,
                               GVariant *parameters,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data,
                               gpointer tag);
void _vmsnap_call_for_objects_with_fds (gpointer source,
                                        const char *method,
                                        GVariant *parameters,
                                        GUnixFDList *fds,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data,
                                        gpointer tag);
GPtrArray *_vmsnap_call_for_objects_finish (gpointer source, GAsyncResult *result, gpointer tag, GError **error);
GPtrArray *_vmsnap_call_for_objects_sync (gpointer source,
                                          const char *method,
                                          GVariant *parameters,
                                          GCancellable *cancellable,
                                          GError **error);
GPtrArray *_vmsnap_call_for_objects_with_fds_sync (gpointer source,
                                                   const char *method,
                                                   GVariant *parameters,
                                                   GUnixFDList *fds,
                                                   GCancellable *cancellable,
                                                   GError **error);
gpointer _vmsnap_take_object (GPtrArray *objects);
GList *_vmsnap_take_list (GPtrArray *objects);

/* vmsnap-image-call.c: method calls about a saved image, whose descriptor is their first argument and options the
 * second; @is_objects: the reply names objects. */
void _vmsnap_image_call (gpointer source,
                         const char *method,
                         gboolean is_objects,
                         int fd,
                         GVariant *options,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data,
                         gpointer tag);
void _vmsnap_image_call_with_file (gpointer source,
                                   const char *method,
                                   gboolean is_objects,
                                   GFile *file,
                                   VmSnapImageAccess access,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data,
                                   gpointer tag);
gpointer _vmsnap_image_call_finish (gpointer source, GAsyncResult *result, gpointer tag, GError **error);
gpointer _vmsnap_image_call_sync (gpointer source,
                                  const char *method,
                                  gboolean is_objects,
                                  int fd,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GError **error);
gpointer _vmsnap_image_call_with_file_sync (gpointer source,
                                            const char *method,
                                            gboolean is_objects,
                                            GFile *file,
                                            VmSnapImageAccess access,
                                            GVariant *options,
                                            GCancellable *cancellable,
                                            GError **error);

/* vmsnap-image.c */
VmSnapImageInfo *_vmsnap_take_image_info (GVariant *reply);

/* vmsnap-proxies.c: where proxies come from, and whose they are. */
GType _vmsnap_type_for_interface (const char *interface);
const char *_vmsnap_interface_for_path (const char *path);
GDBusProxy *_vmsnap_proxy_new_sync (GDBusConnection *connection,
                                    VmSnapClient *client,
                                    const char *path,
                                    GCancellable *cancellable,
                                    GError **error);
void _vmsnap_proxy_new (GDBusConnection *connection,
                        const char *path,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data);
GDBusProxy *_vmsnap_proxy_new_finish (GAsyncResult *result, VmSnapClient *client, GError **error);
void _vmsnap_proxy_set_client (gpointer proxy, VmSnapClient *client);
VmSnapClient *_vmsnap_proxy_dup_client (gpointer proxy);
gpointer _vmsnap_proxy_lookup (gpointer proxy, const char *path, GType type);
int _vmsnap_proxy_get_enum (gpointer proxy, const char *property, GType type);

/* vmsnap-client.c, vmsnap-client-objects.c */
GDBusProxy *_vmsnap_client_lookup (VmSnapClient *client, const char *path);
GList *_vmsnap_client_list (VmSnapClient *client, GType type, const char *prefix);
GMainContext *_vmsnap_client_get_context (VmSnapClient *client);

G_END_DECLS
