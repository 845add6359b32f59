/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest whose monitor is closed or deaf while its QEMU lives: it is tried again and again, on a thread of its own that
 * ends with QEMU's process at the latest.
 */
#include "vs-guest.h"

#define FIRST_PAUSE (G_USEC_PER_SEC / 5)
#define LONGEST_PAUSE (5 * G_USEC_PER_SEC)

/* The end of the process ends a pause: a monitor that closes is mostly its herald. */
static gpointer
reconnect_thread (gpointer data)
{
  g_autoptr (GTask) task = data;
  VsGuest *guest = g_task_get_source_object (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  gboolean connected = FALSE;
  gboolean told = FALSE;

  for (gint64 pause = FIRST_PAUSE; !connected; pause = MIN (pause * 2, LONGEST_PAUSE))
    {
      g_autoptr (GError) error = NULL;

      if (vs_process_wait (vs_guest_get_process (guest), pause, cancellable, NULL)
          || g_cancellable_is_cancelled (cancellable))
        break;
      connected = vs_guest_connect (guest, 0, cancellable, &error);
      if (connected || told)
        continue;
      g_message ("QEMU's monitor of %s can't be reached, and is tried again as long as the process lives: %s",
                 vs_guest_get_uuid (guest), error->message);
      told = TRUE;
    }
  g_task_return_boolean (task, connected);
  return NULL;
}

/**
 * vs_guest_reconnect_async:
 * @guest: a guest without a monitor, or whose monitor is closed
 * @cancellable: (nullable): to give up
 * @callback: called in the thread-default main context of the caller
 * @user_data: for @callback
 *
 * Tries vs_guest_connect() until it succeeds or there is no process any more.
 */
void
vs_guest_reconnect_async (VsGuest *guest, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (guest, cancellable, callback, user_data);

  g_thread_unref (g_thread_new ("vs-reconnect", reconnect_thread, task));
}

/**
 * vs_guest_reconnect_finish:
 * @guest: the guest
 * @result: as given to the callback
 * @error: where to put %G_IO_ERROR_CANCELLED
 *
 * Returns: whether it has a monitor; %FALSE without an error when its process has ended
 */
gboolean
vs_guest_reconnect_finish (VsGuest *guest, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
