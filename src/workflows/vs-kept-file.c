/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A caller's descriptor, left with QEMU for a next life of the service: the file may be one that the service can't open,
 * or have moved. QEMU keeps a second one in a set of its own, that no command uses, and lives on when the service dies;
 * so whoever comes next finds its number by the mark, and gets it from QEMU's process. Whatever fails here costs a
 * convenience, so nothing is reported: the way to the file is on record, too. Threads of runs.
 */
#include "vs-kept-file.h"

#include "qmp-json.h"
#include "vs-guest.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * vs_kept_file_leave:
 * @run: a run with a guest
 * @fd: a descriptor
 * @mark: what it is found by; occurs once
 *
 * QEMU closes it by itself when a service dies while the guest runs, or some time after vs_kept_file_drop().
 */
void
vs_kept_file_leave (VsRun *run, int fd, const char *mark)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  int flags = fcntl (fd, F_GETFL);
  g_autoptr (JsonNode) reply = NULL;

  if (monitor == NULL || flags < 0)
    return;
  reply = qmp_client_call_full (monitor, "add-fd", qmp_args_new ("s:opaque", mark, NULL), fd, QMP_DEFAULT_TIMEOUT,
                                vs_run_get_cancellable (run), NULL);
  /* QEMU lets whatever it gets block, and these are the caller's flags, too. */
  (void) fcntl (fd, F_SETFL, flags);
}

/* The set's number, and the descriptor's in QEMU. */
static gboolean
find (VsRun *run, const char *mark, gint64 *set, gint64 *number)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autoptr (JsonNode) reply = monitor != NULL ? qmp_client_call (monitor, "query-fdsets", NULL, NULL, NULL) : NULL;
  JsonArray *sets = reply != NULL ? qmp_json_node_get_array (reply) : NULL;

  for (guint i = 0; sets != NULL && i < json_array_get_length (sets); i++)
    {
      JsonObject *object = qmp_json_array_get_object (sets, i);
      JsonArray *fds = qmp_json_get_array (object, "fds");

      for (guint j = 0; fds != NULL && j < json_array_get_length (fds); j++)
        {
          JsonObject *entry = qmp_json_array_get_object (fds, j);

          if (g_strcmp0 (qmp_json_get_string (entry, "opaque"), mark) == 0)
            return qmp_json_get_int (object, "fdset-id", set) && qmp_json_get_int (entry, "fd", number);
        }
    }
  return FALSE;
}

/**
 * vs_kept_file_take:
 * @run: a run, with a guest or without
 * @mark: as it was left
 *
 * Returns: the descriptor, to be closed; -1: QEMU is gone, or the system doesn't give it
 */
int
vs_kept_file_take (VsRun *run, const char *mark)
{
  VsGuest *guest = vs_run_get_guest (run);
  gint64 set, number;
  int pidfd;

  if (guest == NULL || !find (run, mark, &set, &number))
    return -1;
  pidfd = vs_process_get_pidfd (vs_guest_get_process (guest));
  /* It comes with close-on-exec. */
  return (int) syscall (SYS_pidfd_getfd, pidfd, (int) number, 0);
}

/**
 * vs_kept_file_drop:
 * @run: a run
 * @mark: as it was left
 *
 * Tells QEMU that nobody will come for it; a guest that stands still may keep it until it runs again.
 */
void
vs_kept_file_drop (VsRun *run, const char *mark)
{
  gint64 set, number;

  if (find (run, mark, &set, &number))
    qmp_client_send (vs_run_get_monitor (run, NULL), "remove-fd", qmp_args_new ("i:fdset-id", set, NULL));
}
