/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qemu-storage-daemon: started with a monitor that is connected already, given the files of a chain one by one, and
 * ended. The one that belongs to the emulator is taken, as with qemu-img. Any thread but the main one, for it waits; and
 * the thread that started it has to see its end, for with that thread it dies.
 */
#include "vs-storage-daemon.h"

#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-image-tool.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOOL "qemu-storage-daemon"
#define MONITOR_FD 3
#define WITNESS_FD 4

#define START_TIMEOUT (30 * G_USEC_PER_SEC)
/* It may have much to write still. */
#define END_TIMEOUT (600 * G_USEC_PER_SEC)
/* Between the monitor's end and the process's end lies its tidying up. */
#define DEATH_TIMEOUT (2 * G_USEC_PER_SEC)

struct _VsStorageDaemon
{
  VsProcess *process;
  QmpClient *client;
};

static VsProcess *
spawn (const char *program, const char *log_path, int monitor, GError **error)
{
  const char *const argv[]
    = { program, "--chardev", "socket,id=monitor,fd=" G_STRINGIFY (MONITOR_FD), "--monitor", "chardev=monitor", NULL };
  const VsProcessFd fds[] = { { monitor, MONITOR_FD }, { vs_process_get_witness (), WITNESS_FD } };
  const VsProcessSpec spec = {
    .argv = argv,
    .log_path = log_path,
    .fds = fds,
    .n_fds = fds[1].source >= 0 ? 2 : 1,
    .dies_with_us = TRUE,
  };

  return vs_process_spawn (&spec, error);
}

static int
spawn_connected (VsStorageDaemon *self, const char *program, const char *log_path, GError **error)
{
  int ends[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "Can't make a connection for %s: %s", program,
                   g_strerror (errno));
      return -1;
    }
  self->process = spawn (program, log_path, ends[1], error);
  close (ends[1]);
  if (self->process != NULL)
    return ends[0];
  close (ends[0]);
  return -1;
}

static void
explain_failure (VsStorageDaemon *self, const char *program, GError *failure, GError **error)
{
  g_autofree char *words = NULL;

  if (g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    vs_process_wait (self->process, DEATH_TIMEOUT, NULL, NULL);
  words = vs_process_get_last_words (self->process);
  g_set_error (error, VMSNAP_ERROR,
               failure->code == VMSNAP_ERROR_HYPERVISOR_GONE ? VMSNAP_ERROR_HYPERVISOR : failure->code,
               "%s can't be used: %s", program, *words != '\0' ? words : failure->message);
}

/**
 * vs_storage_daemon_start:
 * @emulator: (nullable): path of the emulator whose files it is about to handle
 * @log_path: (nullable): where its output is appended
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is none, %VMSNAP_ERROR_HYPERVISOR with its last words, %VMSNAP_ERROR_TIMEOUT
 *
 * Returns: (transfer full): one that has no files yet
 */
VsStorageDaemon *
vs_storage_daemon_start (const char *emulator, const char *log_path, GCancellable *cancellable, GError **error)
{
  g_autoptr (VsStorageDaemon) self = g_new0 (VsStorageDaemon, 1);
  g_autofree char *program = vs_image_tool_find_named (TOOL, emulator, error);
  g_autoptr (GError) failure = NULL;
  int monitor = program != NULL ? spawn_connected (self, program, log_path, error) : -1;

  if (monitor < 0)
    return NULL;
  self->client = qmp_client_new_for_fd (monitor, TOOL, START_TIMEOUT, cancellable, &failure);
  if (self->client != NULL)
    return g_steal_pointer (&self);
  if (g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    explain_failure (self, program, failure, error);
  return NULL;
}

/**
 * vs_storage_daemon_end:
 * @self: (transfer full): a storage daemon
 *
 * Has it close its files, which writes down what it has in memory of them, and end. One that doesn't is killed.
 */
void
vs_storage_daemon_end (VsStorageDaemon *self)
{
  g_autoptr (GError) error = NULL;

  if (self->process != NULL && !vs_process_end (self->process, VS_PROCESS_END_TERM, END_TIMEOUT, NULL, &error))
    g_warning (TOOL " doesn't end: %s", error->message);
  g_clear_object (&self->client);
  g_clear_pointer (&self->process, vs_process_unref);
  g_free (self);
}

/**
 * vs_storage_daemon_get_client:
 * @self: a storage daemon
 *
 * Returns: (transfer none): its monitor
 */
QmpClient *
vs_storage_daemon_get_client (VsStorageDaemon *self)
{
  return self->client;
}

/**
 * vs_storage_daemon_get_process:
 * @self: a storage daemon
 *
 * Returns: (transfer none): its process
 */
VsProcess *
vs_storage_daemon_get_process (VsStorageDaemon *self)
{
  return self->process;
}

static gboolean
add_node (VsStorageDaemon *self, JsonObject *node, GError **error)
{
  g_autoptr (JsonNode) reply = qmp_client_call (self->client, "blockdev-add", node, NULL, error);

  return reply != NULL;
}

static gboolean
add_file (VsStorageDaemon *self, VsDiskChain *chain, guint index, gboolean writable, GError **error)
{
  const VsDiskFile *file = g_ptr_array_index (chain->files, chain->files->len - 1 - index);
  const VsDiskDef disk = { .target = chain->target };
  g_autofree char *name = vs_block_node_name (chain->target, index);
  g_autofree char *storage = vs_block_storage_node_name (chain->target, index);
  g_autofree char *backing = index > 0 ? vs_block_node_name (chain->target, index - 1) : NULL;

  if (add_node (self, vs_block_storage_node (&disk, storage, file->path, file->is_block), error)
      && add_node (self, vs_block_format_node (&disk, name, storage, file->format, writable, backing), error))
    return TRUE;
  g_prefix_error (error, "Can't open %s: ", file->path);
  return FALSE;
}

/**
 * vs_storage_daemon_open:
 * @self: a storage daemon
 * @chain: files, the active one first
 * @writable: whether the active one is opened for writing; the others are only when a job needs it
 * @error: where to put an error
 *
 * Opens the files of a chain, the base first, each a node of its own, called as a guest's are: vs_block_node_name().
 *
 * Returns: whether all are open
 */
gboolean
vs_storage_daemon_open (VsStorageDaemon *self, VsDiskChain *chain, gboolean writable, GError **error)
{
  for (guint index = 0; index < chain->files->len; index++)
    if (!add_file (self, chain, index, writable && index == chain->files->len - 1, error))
      return FALSE;
  return TRUE;
}
