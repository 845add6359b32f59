/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A picture of the guest's screen, as a descriptor of an anonymous file: QEMU writes it through a descriptor that we
 * pass, so that no path is involved. Asked from the main thread, never waiting in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-operations.h"

typedef struct
{
  int fd;
  int writing_fd;
  gint64 set;
  gint64 deadline; /* of the monotonic clock */
} Shot;

static void
shot_free (Shot *shot)
{
  if (shot->fd >= 0)
    close (shot->fd);
  if (shot->writing_fd >= 0)
    close (shot->writing_fd);
  g_free (shot);
}

static QmpClient *
get_client (GTask *task)
{
  VsGuest *guest = vs_domain_get_guest (g_task_get_source_object (task));

  return guest != NULL ? vs_guest_get_client (guest) : NULL;
}

/* QEMU lets go of the descriptor; what it answers doesn't matter to the picture. */
static void
forget_set (GTask *task)
{
  Shot *shot = g_task_get_task_data (task);
  QmpClient *client = get_client (task);

  if (client != NULL)
    qmp_client_call_async (client, "remove-fd", qmp_args_new ("i:fdset-id", shot->set, NULL), -1, QMP_DEFAULT_TIMEOUT,
                           NULL, NULL, NULL);
}

static void
on_dumped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Shot *shot = g_task_get_task_data (task);
  g_autoptr (JsonNode) reply = NULL;
  GError *error = NULL;

  reply = qmp_client_call_finish (QMP_CLIENT (source), result, &error);
  forget_set (task);
  if (reply == NULL)
    {
      g_prefix_error (&error, "No picture of %s's screen: ",
                      vs_domain_get_name (g_task_get_source_object (task)));
      g_task_return_error (task, error);
      return;
    }
  lseek (shot->fd, 0, SEEK_SET);
  g_task_return_int (task, shot->fd);
  shot->fd = -1;
}

static void
on_fd_added (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Shot *shot = g_task_get_task_data (task);
  g_autoptr (JsonNode) reply = NULL;
  g_autofree char *path = NULL;
  GError *error = NULL;

  reply = qmp_client_call_finish (QMP_CLIENT (source), result, &error);
  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  shot->set = json_object_get_int_member_with_default (json_node_get_object (reply), "fdset-id", 0);
  path = g_strdup_printf ("/dev/fdset/%" G_GINT64_FORMAT, shot->set);
  qmp_client_call_async (QMP_CLIENT (source), "screendump",
                         qmp_args_new ("s:filename", path, "s:format", "png", NULL), -1,
                         MAX (shot->deadline - g_get_monotonic_time (), 1), NULL, on_dumped, g_object_ref (task));
}

/* The picture's file, and the descriptor that QEMU writes it through: QEMU takes one from a set only when it was opened
 * for just what it wants to do. */
static gboolean
make_file (Shot *shot, GError **error)
{
  g_autofree char *path = NULL;

  shot->fd = memfd_create ("vmsnap-screenshot", MFD_CLOEXEC);
  if (shot->fd >= 0)
    {
      path = g_strdup_printf ("/proc/self/fd/%d", shot->fd);
      shot->writing_fd = open (path, O_WRONLY | O_CLOEXEC);
    }
  if (shot->writing_fd >= 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "No memory for the picture: %s", g_strerror (errno));
  return FALSE;
}

/**
 * vs_operation_screenshot_async:
 * @domain: a domain with a guest
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Takes a picture of the first screen, as PNG.
 */
void
vs_operation_screenshot_async (VsDomain *domain, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (domain, NULL, callback, user_data);
  Shot *shot = g_new0 (Shot, 1);
  QmpClient *client = get_client (task);
  GError *error = NULL;

  shot->fd = shot->writing_fd = -1;
  shot->deadline = g_get_monotonic_time () + VS_ANSWER_TIMEOUT;
  g_task_set_task_data (task, shot, (GDestroyNotify) shot_free);
  if (client == NULL)
    {
      g_task_return_new_error (task, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                               vs_domain_is_active (domain)
                                 ? "No picture of %s's screen: its QEMU doesn't answer; wait until it does"
                                 : "%s is shutoff and has no screen: start it first",
                               vs_domain_get_name (domain));
      return;
    }
  if (!make_file (shot, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  qmp_client_call_async (client, "add-fd", NULL, shot->writing_fd, VS_ANSWER_TIMEOUT, NULL, on_fd_added,
                         g_object_ref (task));
}

/**
 * vs_operation_screenshot_finish:
 * @domain: the domain
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_HYPERVISOR (no screen), …
 *
 * Returns: a descriptor of the picture, at its start, for the caller to close; -1: no picture
 */
int
vs_operation_screenshot_finish (VsDomain *domain, GAsyncResult *result, GError **error)
{
  return g_task_propagate_int (G_TASK (result), error);
}
