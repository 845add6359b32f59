/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Method calls about saved images: their descriptor comes from the caller, or from a file that is opened here, in a
 * worker thread if the call is asynchronous. A file that was made for a call that is refused is removed again. Lives in
 * the caller's thread.
 */
#include "vmsnap-private.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  char *method;
  gboolean is_objects;
  GFile *file; /* nullable: the caller has opened it */
  VmSnapImageAccess access;
  GVariant *options;
  int fd;
  gboolean is_own;
  gboolean created;
} Call;

static Call *
call_new (const char *method, gboolean is_objects, GVariant *options)
{
  Call *call = g_new0 (Call, 1);

  call->method = g_strdup (method);
  call->is_objects = is_objects;
  call->options = g_variant_ref_sink (_vmsnap_options (options));
  call->fd = -1;
  return call;
}

static void
call_free (Call *call)
{
  if (call->is_own && call->fd >= 0)
    close (call->fd);
  g_clear_object (&call->file);
  g_variant_unref (call->options);
  g_free (call->method);
  g_free (call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static gboolean
call_open (Call *call, GError **error)
{
  /* Before a file is made that nobody needs. */
  if (!_vmsnap_options_check (call->options, error))
    return FALSE;
  call->is_own = TRUE;
  call->fd = vmsnap_image_open (call->file, call->access, &call->created, error);
  return call->fd >= 0;
}

/* Only when the service has said no: after an error of the bus, or when nothing but its answer's job isn't to be found,
 * a guest may be on its way into the file. And only if nobody has put another one there meanwhile. */
static void
call_undo (Call *call, const GError *error)
{
  gboolean is_refused = error->domain == VMSNAP_ERROR && error->code != VMSNAP_ERROR_NOT_FOUND;
  g_autofree char *path = call->created && is_refused ? g_file_get_path (call->file) : NULL;
  struct stat ours;
  struct stat there;

  if (path != NULL && fstat (call->fd, &ours) == 0 && ours.st_size == 0 && lstat (path, &there) == 0
      && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
    unlink (path);
}

static GUnixFDList *
call_take_fds (Call *call, GError **error)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();

  if (call->fd < 0)
    g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "A negative number is no descriptor");
  else if (g_unix_fd_list_append (fds, call->fd, error) >= 0)
    return g_steal_pointer (&fds);
  g_prefix_error (error, "The descriptor can't be sent to the service: ");
  return NULL;
}

static GVariant *
call_parameters (Call *call)
{
  return g_variant_new ("(h@*)", 0, call->options);
}

static void
return_reply (GTask *task, gpointer reply, GDestroyNotify free_func, GError *error)
{
  if (reply != NULL)
    {
      g_task_return_pointer (task, reply, free_func);
      return;
    }
  call_undo (g_task_get_task_data (task), error);
  g_task_return_error (task, error);
}

static void
on_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GVariant *reply = _vmsnap_call_finish (source, result, _vmsnap_image_call, NULL, &error);

  return_reply (task, reply, (GDestroyNotify)g_variant_unref, error);
}

static void
on_objects (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GPtrArray *reply = _vmsnap_call_for_objects_finish (source, result, _vmsnap_image_call, &error);

  return_reply (task, reply, (GDestroyNotify)g_ptr_array_unref, error);
}

static void
send (GTask *task)
{
  Call *call = g_task_get_task_data (task);
  gpointer source = g_task_get_source_object (task);
  GError *error = NULL;
  g_autoptr (GUnixFDList) fds = call_take_fds (call, &error);

  if (fds == NULL)
    return_reply (task, NULL, NULL, error);
  else if (call->is_objects)
    _vmsnap_call_for_objects_with_fds (source, call->method, call_parameters (call), fds, g_task_get_cancellable (task),
                                       on_objects, g_object_ref (task), _vmsnap_image_call);
  else
    _vmsnap_call_with_fds (source, call->method, call_parameters (call), fds, g_task_get_cancellable (task), on_reply,
                           g_object_ref (task), _vmsnap_image_call);
}

/* @fd: the caller's, needed until this returns. */
void
_vmsnap_image_call (gpointer source,
                    const char *method,
                    gboolean is_objects,
                    int fd,
                    GVariant *options,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer user_data,
                    gpointer tag)
{
  g_autoptr (GTask) task = g_task_new (source, cancellable, callback, user_data);
  Call *call = call_new (method, is_objects, options);

  g_task_set_source_tag (task, tag);
  g_task_set_task_data (task, call, (GDestroyNotify)call_free);
  call->fd = fd;
  send (task);
}

static void
open_in_worker (GTask *opening, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;

  if (call_open (task_data, &error))
    g_task_return_boolean (opening, TRUE);
  else
    g_task_return_error (opening, error);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (!g_task_propagate_boolean (G_TASK (result), &error))
    return_reply (task, NULL, NULL, error);
  else
    send (task);
}

void
_vmsnap_image_call_with_file (gpointer source,
                              const char *method,
                              gboolean is_objects,
                              GFile *file,
                              VmSnapImageAccess access,
                              GVariant *options,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data,
                              gpointer tag)
{
  GTask *task = g_task_new (source, cancellable, callback, user_data);
  g_autoptr (GTask) opening = g_task_new (source, NULL, on_opened, task);
  Call *call = call_new (method, is_objects, options);

  g_task_set_source_tag (task, tag);
  g_task_set_task_data (task, call, (GDestroyNotify)call_free);
  call->file = g_object_ref (file);
  call->access = access;
  g_task_set_task_data (opening, call, NULL);
  g_task_run_in_thread (opening, open_in_worker);
}

/* Returns: (transfer full): a GPtrArray of proxies, or a GVariant, as the call was begun */
gpointer
_vmsnap_image_call_finish (gpointer source, GAsyncResult *result, gpointer tag, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, source), NULL);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == tag, NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static gpointer
send_sync (gpointer source, Call *call, GCancellable *cancellable, GError **error)
{
  GError *local_error = NULL;
  g_autoptr (GUnixFDList) fds = call_take_fds (call, &local_error);
  gpointer reply = NULL;

  if (fds != NULL && call->is_objects)
    reply = _vmsnap_call_for_objects_with_fds_sync (source, call->method, call_parameters (call), fds, cancellable,
                                                    &local_error);
  else if (fds != NULL)
    reply
      = _vmsnap_call_with_fds_sync (source, call->method, call_parameters (call), fds, NULL, cancellable, &local_error);
  if (reply != NULL)
    return reply;
  call_undo (call, local_error);
  g_propagate_error (error, local_error);
  return NULL;
}

gpointer
_vmsnap_image_call_sync (gpointer source,
                         const char *method,
                         gboolean is_objects,
                         int fd,
                         GVariant *options,
                         GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (Call) call = call_new (method, is_objects, options);

  call->fd = fd;
  return send_sync (source, call, cancellable, error);
}

gpointer
_vmsnap_image_call_with_file_sync (gpointer source,
                                   const char *method,
                                   gboolean is_objects,
                                   GFile *file,
                                   VmSnapImageAccess access,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GError **error)
{
  g_autoptr (Call) call = call_new (method, is_objects, options);

  call->file = g_object_ref (file);
  call->access = access;
  return call_open (call, error) ? send_sync (source, call, cancellable, error) : NULL;
}
