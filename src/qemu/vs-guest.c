/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One running QEMU: begun, or found again after the service was away; its process, its monitor, its runtime directory.
 * What waits is for workers; the signal `exited` comes in the main context, and everything may be asked in any thread,
 * for nothing but the end changes.
 */
#include "vs-guest.h"

#include "vmsnap-error.h"
#include "vs-guest-private.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT (30 * G_USEC_PER_SEC)

/* A QEMU that is tried again may be saving a snapshot, during which it answers nobody. */
#define FIND_TIMEOUT (60 * G_USEC_PER_SEC)

/* Between the monitor's end and the process's end lies its tidying up. */
#define DEATH_TIMEOUT (2 * G_USEC_PER_SEC)

struct _VsGuest
{
  GObject parent_instance;

  char *uuid;
  char *name;
  VsProcess *process;
  GMutex lock; /* for the monitors and the directory */
  const char *directory;
  GPtrArray *directories; /* where it is and where it was; others may still be reading where it was */
  QmpClient *client;
  GPtrArray *former; /* monitors that closed while QEMU lived; others may be using them */
  GSource *end_source;
};

G_DEFINE_FINAL_TYPE (VsGuest, vs_guest, G_TYPE_OBJECT)

static guint exited_signal;

static void
vs_guest_dispose (GObject *object)
{
  VsGuest *self = VS_GUEST (object);

  if (self->end_source != NULL)
    g_source_destroy (self->end_source);
  g_clear_pointer (&self->end_source, g_source_unref);
  g_clear_object (&self->client);
  g_ptr_array_set_size (self->former, 0);
  G_OBJECT_CLASS (vs_guest_parent_class)->dispose (object);
}

static void
vs_guest_finalize (GObject *object)
{
  VsGuest *self = VS_GUEST (object);

  g_clear_pointer (&self->process, vs_process_unref);
  g_ptr_array_unref (self->former);
  g_ptr_array_unref (self->directories);
  g_mutex_clear (&self->lock);
  g_free (self->uuid);
  g_free (self->name);
  G_OBJECT_CLASS (vs_guest_parent_class)->finalize (object);
}

static void
vs_guest_class_init (VsGuestClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = vs_guest_dispose;
  object_class->finalize = vs_guest_finalize;

  /**
   * VsGuest::exited:
   * @guest: the guest
   *
   * The process has ended, however: see vs_guest_describe_end(). Once, in the main context.
   */
  exited_signal = g_signal_new ("exited", VS_TYPE_GUEST, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vs_guest_init (VsGuest *self)
{
  g_mutex_init (&self->lock);
  self->former = g_ptr_array_new_with_free_func (g_object_unref);
  self->directories = g_ptr_array_new_with_free_func (g_free);
}

static void
set_directory (VsGuest *self, const char *directory)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->directory = g_strdup (directory);
  g_ptr_array_add (self->directories, (gpointer) self->directory);
}

static void
free_weak_ref (gpointer data)
{
  g_weak_ref_clear (data);
  g_free (data);
}

static gboolean
process_ended (int fd, GIOCondition condition, gpointer data)
{
  g_autoptr (VsGuest) self = g_weak_ref_get (data);

  if (self == NULL)
    return G_SOURCE_REMOVE;
  if (!vs_process_has_ended (self->process))
    return G_SOURCE_CONTINUE;
  g_signal_emit (self, exited_signal, 0);
  return G_SOURCE_REMOVE;
}

static VsGuest *
guest_new (const char *directory, const char *uuid, const char *name, VsProcess *process)
{
  VsGuest *self = g_object_new (VS_TYPE_GUEST, NULL);
  GWeakRef *weak = g_new0 (GWeakRef, 1);

  set_directory (self, directory);
  self->uuid = g_strdup (uuid);
  self->name = g_strdup (name);
  self->process = vs_process_ref (process);
  g_weak_ref_init (weak, self);
  self->end_source = g_unix_fd_source_new (vs_process_get_pidfd (process), G_IO_IN);
  g_source_set_callback (self->end_source, G_SOURCE_FUNC (process_ended), weak, free_weak_ref);
  return self;
}

/* From here on its end is told. */
static void
watch_end (VsGuest *self)
{
  g_source_attach (self->end_source, g_main_context_default ());
}

/* The monitor's end as the end of the process, with its last words, when that is what it was. */
static void
explain_failure (VsGuest *self, const char *program, GError *failure, GError **error)
{
  g_autofree char *words = NULL;
  g_autofree char *end = NULL;

  if (g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    vs_process_wait (self->process, DEATH_TIMEOUT, NULL, NULL);
  words = vs_process_get_last_words (self->process);
  if (vs_process_has_ended (self->process))
    {
      end = vs_process_describe_end (self->process);
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s, started for domain %s, %s%s%s", program,
                   self->name, end, *words != '\0' ? ": " : " and said nothing", words);
    }
  else
    g_set_error (error, VMSNAP_ERROR,
                 failure->code == VMSNAP_ERROR_HYPERVISOR_GONE ? VMSNAP_ERROR_HYPERVISOR : failure->code,
                 "%s, started for domain %s, can't be used: %s%s%s", program, self->name, failure->message,
                 *words != '\0' ? "; it said: " : "", words);
}

/* A wrapper that doesn't `exec` leaves QEMU as somebody else's child, whom our signals would never reach. */
static gboolean
check_is_qemu (VsGuest *self, const char *program, GError **error)
{
  g_autofree char *path = g_build_filename (vs_guest_get_directory (self), VS_GUEST_PIDFILE, NULL);
  g_autofree char *text = NULL;
  gint64 pid;

  if (g_file_get_contents (path, &text, NULL, NULL)
      && g_ascii_string_to_signed (g_strstrip (text), 10, 1, G_MAXINT32, &pid, NULL)
      && pid == vs_process_get_pid (self->process))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR,
               "%s runs QEMU as another process than itself. If it is a script, let it end in: exec qemu… \"$@\"",
               program);
  return FALSE;
}

/* As long as its leader isn't reaped, the group's number is its own: all that was begun with it goes. */
static void
abandon (VsGuest *self)
{
  if (!vs_process_has_ended (self->process))
    kill (-vs_process_get_pid (self->process), SIGKILL);
  vs_process_end (self->process, VS_PROCESS_END_KILL, 0, NULL, NULL);
  vs_guest_cleanup (self);
}

static VsProcess *
spawn_process (const VsGuestSpec *spec, const char *directory, int monitor, int listener, GError **error)
{
  g_autofree char *log_name = g_strconcat (spec->uuid, ".log", NULL);
  g_autofree char *log_path = g_build_filename (spec->log_directory, log_name, NULL);
  g_autofree VsProcessFd *fds = g_new (VsProcessFd, spec->n_fds + 2);
  const VsProcessSpec process_spec = {
    .argv = spec->argv,
    .environment = spec->environment,
    .log_path = log_path,
    .directory = directory,
    .fds = fds,
    .n_fds = spec->n_fds + 2,
  };

  fds[0] = (VsProcessFd){ monitor, VS_GUEST_MONITOR_FD };
  fds[1] = (VsProcessFd){ listener, VS_GUEST_LISTENER_FD };
  for (gsize i = 0; i < spec->n_fds; i++)
    fds[i + 2] = spec->fds[i];
  return vs_process_spawn (&process_spec, error);
}

/* Gives QEMU a connection that stands already: so nothing has to be waited for but its greeting, and its death, for it
 * then is the only one to hold the other end, is noticed as the end of the connection. */
static VsProcess *
spawn_connected (const VsGuestSpec *spec, const char *directory, int listener, int *monitor, GError **error)
{
  VsProcess *process;
  int ends[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "Can't make a connection for the monitor of domain %s: %s",
                   spec->name, g_strerror (errno));
      return NULL;
    }
  process = spawn_process (spec, directory, ends[1], listener, error);
  close (ends[1]);
  if (process != NULL)
    *monitor = ends[0];
  else
    close (ends[0]);
  return process;
}

static VsProcess *
spawn_with_monitor (const VsGuestSpec *spec, const char *directory, int *monitor, GError **error)
{
  VsProcess *process;
  int listener = vs_guest_socket_listen (directory, VS_GUEST_MONITOR_SOCKET, error);

  if (listener < 0)
    return NULL;
  /* Whoever connects while QEMU starts shall not make it wait in accept(), see VS_GUEST_MONITOR_FD. */
  g_unix_set_fd_nonblocking (listener, TRUE, NULL);
  process = spawn_connected (spec, directory, listener, monitor, error);
  close (listener);
  if (process == NULL)
    vs_guest_clean_directory (directory);
  return process;
}

static gboolean
make_usable (VsGuest *self, const VsGuestSpec *spec, int monitor, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gint64 timeout = spec->timeout > 0 ? spec->timeout : DEFAULT_TIMEOUT;
  gboolean recorded = vs_guest_record (self, error);

  /* Also when it couldn't be recorded, for the client takes the socket over. */
  self->client = qmp_client_new_for_fd (monitor, spec->name, timeout, cancellable, &failure);
  if (!recorded)
    return FALSE;
  if (self->client != NULL)
    return check_is_qemu (self, spec->argv[0], error);
  if (g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    explain_failure (self, spec->argv[0], failure, error);
  return FALSE;
}

/**
 * vs_guest_spawn:
 * @spec: what to run
 * @cancellable: (nullable): to give up; the process is then ended
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no emulator, %VMSNAP_ERROR_HYPERVISOR with its last words when it ends,
 *   %VMSNAP_ERROR_TIMEOUT when its monitor doesn't answer, %VMSNAP_ERROR_INVALID_STATE when the domain has a guest
 *
 * Starts a QEMU, which outlives the service, records it, and connects to its monitor. On failure nothing is left of it
 * but its log.
 *
 * Returns: (transfer full): the guest
 */
VsGuest *
vs_guest_spawn (const VsGuestSpec *spec, GCancellable *cancellable, GError **error)
{
  g_autofree char *directory = vs_guest_prepare_directory (spec->runtime_directory, spec->uuid, error);
  g_autoptr (VsProcess) process = NULL;
  g_autoptr (VsGuest) self = NULL;
  int monitor = -1;

  if (directory == NULL)
    return NULL;
  process = spawn_with_monitor (spec, directory, &monitor, error);
  if (process == NULL)
    return NULL;
  self = guest_new (directory, spec->uuid, spec->name, process);
  if (!make_usable (self, spec, monitor, cancellable, error))
    {
      abandon (self);
      return NULL;
    }
  watch_end (self);
  return g_steal_pointer (&self);
}

/**
 * vs_guest_find_deaf:
 * @runtime_directory: the service's runtime directory
 * @log_directory: where `<uuid>.log` is
 * @uuid: a domain's uuid
 * @name: its name, for messages
 * @error: when it can't be told
 *
 * Finds the QEMU that an earlier life of the service started: by what it recorded, or, had it no time for that, by
 * looking at all processes of our user for the one that was started with exactly this domain's pidfile. Its end is
 * noticed, and it can be ended; for more, vs_guest_connect() comes next.
 *
 * Returns: (transfer full) (nullable): the guest, without a monitor; %NULL without an error when none runs
 */
VsGuest *
vs_guest_find_deaf (const char *runtime_directory,
                    const char *log_directory,
                    const char *uuid,
                    const char *name,
                    GError **error)
{
  g_autofree char *directory = vs_guest_directory (runtime_directory, uuid);
  g_autofree char *log_name = g_strconcat (uuid, ".log", NULL);
  g_autofree char *log_path = g_build_filename (log_directory, log_name, NULL);
  g_autoptr (VsProcess) process = vs_guest_find_process (directory, error);
  VsGuest *self;

  if (process == NULL)
    return NULL;
  vs_process_set_log (process, log_path);
  self = guest_new (directory, uuid, name, process);
  watch_end (self);
  return self;
}

/**
 * vs_guest_connect:
 * @guest: a guest without a monitor, or whose monitor is closed
 * @timeout: in microseconds: how long its monitor may take to answer; 0: a minute
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_TIMEOUT when its monitor doesn't answer, %VMSNAP_ERROR_HYPERVISOR_GONE, …
 *
 * Connects to its monitor, anew.
 *
 * Returns: whether it has one now
 */
gboolean
vs_guest_connect (VsGuest *guest, gint64 timeout, GCancellable *cancellable, GError **error)
{
  int monitor = vs_guest_socket_connect (vs_guest_get_directory (guest), VS_GUEST_MONITOR_SOCKET, error);
  QmpClient *client = NULL;

  if (monitor >= 0)
    client = qmp_client_new_for_fd (monitor, guest->name, timeout > 0 ? timeout : FIND_TIMEOUT, cancellable, error);

  if (client == NULL)
    return FALSE;
  g_mutex_lock (&guest->lock);
  if (guest->client != NULL)
    g_ptr_array_add (guest->former, guest->client);
  guest->client = client;
  g_mutex_unlock (&guest->lock);
  return vs_guest_record (guest, error);
}

/**
 * vs_guest_find:
 * @runtime_directory: the service's runtime directory
 * @log_directory: where `<uuid>.log` is
 * @uuid: a domain's uuid
 * @name: its name, for messages
 * @cancellable: (nullable): to give up
 * @error: when there is a QEMU, but it can't be used: %VMSNAP_ERROR_TIMEOUT when its monitor doesn't answer,
 *   %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * vs_guest_find_deaf() and vs_guest_connect() in one.
 *
 * Returns: (transfer full) (nullable): the guest; %NULL without an error when none runs
 */
VsGuest *
vs_guest_find (const char *runtime_directory,
               const char *log_directory,
               const char *uuid,
               const char *name,
               GCancellable *cancellable,
               GError **error)
{
  g_autoptr (VsGuest) self = vs_guest_find_deaf (runtime_directory, log_directory, uuid, name, error);
  g_autoptr (GError) local = NULL;

  if (self == NULL || vs_guest_connect (self, 0, cancellable, &local))
    return g_steal_pointer (&self);
  /* It may end while we look at it: then there is none. */
  if (!vs_guest_has_exited (self))
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

/**
 * vs_guest_record:
 * @guest: a guest
 * @error: %VMSNAP_ERROR_IO, %VMSNAP_ERROR_NO_SPACE
 *
 * Writes down, durably, by what vs_guest_find() will know it. vs_guest_spawn() and vs_guest_find() have done it.
 *
 * Returns: whether it is written
 */
gboolean
vs_guest_record (VsGuest *guest, GError **error)
{
  return vs_guest_record_write (vs_guest_get_directory (guest), VS_GUEST_RECORD, guest->uuid, guest->name, guest->process,
                                error);
}

/**
 * vs_guest_connect_agent:
 * @guest: a guest
 * @channel: the channel of its agent, a socket on which QEMU listens
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_HYPERVISOR_GONE, %VMSNAP_ERROR_IO
 *
 * Connects to the guest's agent, however long the path of its socket is. Doesn't wait.
 *
 * Returns: a descriptor to close, or -1
 */
int
vs_guest_connect_agent (VsGuest *guest, const VsChardevDef *channel, GError **error)
{
  g_autofree char *directory = NULL;
  g_autofree char *name = NULL;

  if (channel->path == NULL)
    return vs_guest_socket_connect (vs_guest_get_directory (guest), VS_GUEST_AGENT_SOCKET, error);
  directory = g_path_get_dirname (channel->path);
  name = g_path_get_basename (channel->path);
  return vs_guest_socket_connect (directory, name, error);
}

/**
 * vs_guest_get_client:
 * @guest: a guest
 *
 * Returns: (transfer none) (nullable): its monitor, which may be closed by now, and lives as long as @guest; %NULL for one
 *   that was found and doesn't answer
 */
QmpClient *
vs_guest_get_client (VsGuest *guest)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&guest->lock);

  return guest->client;
}

/**
 * vs_guest_get_process:
 * @guest: a guest
 *
 * Returns: (transfer none): its process
 */
VsProcess *
vs_guest_get_process (VsGuest *guest)
{
  return guest->process;
}

/**
 * vs_guest_get_uuid:
 * @guest: a guest
 *
 * Returns: (transfer none): its domain's uuid
 */
const char *
vs_guest_get_uuid (VsGuest *guest)
{
  return guest->uuid;
}

/**
 * vs_guest_get_directory:
 * @guest: a guest
 *
 * Returns: (transfer none): its runtime directory, as of now
 */
const char *
vs_guest_get_directory (VsGuest *guest)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&guest->lock);

  return guest->directory;
}

/**
 * vs_guest_move:
 * @guest: a guest
 * @directory: where its directory shall be
 * @other: (nullable): the guest whose directory that is, alive or not
 * @error: %VMSNAP_ERROR_IO
 *
 * Renames the guest's directory: its sockets, which QEMU listens on whatever they are called, and its records go with it.
 * What is there, with or without a guest, comes to where the guest's directory was, in the same instant. Doesn't wait.
 *
 * Returns: whether that is done
 */
gboolean
vs_guest_move (VsGuest *guest, const char *directory, VsGuest *other, GError **error)
{
  const char *old = vs_guest_get_directory (guest);
  gboolean exchange = g_file_test (directory, G_FILE_TEST_EXISTS);
  g_autofree char *parent = g_path_get_dirname (directory);

  /* No guest may ever have been there. */
  if ((!exchange && g_mkdir_with_parents (parent, 0700) != 0)
      || renameat2 (AT_FDCWD, old, AT_FDCWD, directory, exchange ? RENAME_EXCHANGE : 0) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't rename %s to %s: %s", old, directory,
                   g_strerror (errno));
      return FALSE;
    }
  if (other != NULL)
    set_directory (other, old);
  set_directory (guest, directory);
  return TRUE;
}

/**
 * vs_guest_has_exited:
 * @guest: a guest
 *
 * Returns: whether its process has ended; may be %TRUE before `exited` is emitted
 */
gboolean
vs_guest_has_exited (VsGuest *guest)
{
  return vs_process_has_ended (guest->process);
}

/**
 * vs_guest_describe_end:
 * @guest: a guest that has exited
 *
 * Returns: (transfer full): how it ended, with its last words when it didn't end well: "was killed by signal 9
 * (Killed)"
 */
char *
vs_guest_describe_end (VsGuest *guest)
{
  g_autofree char *end = vs_process_describe_end (guest->process);
  g_autofree char *words = vs_process_get_last_words (guest->process);

  if (g_str_equal (end, "exited with status 0") || *words == '\0')
    return g_steal_pointer (&end);
  return g_strconcat (end, ": ", words, NULL);
}

/**
 * vs_guest_end:
 * @guest: a guest
 * @how: asked, or killed at once
 * @timeout: for how long, in microseconds, it may take when asked; then it is killed
 * @cancellable: (nullable): ends the waiting
 * @error: as vs_process_end()
 *
 * Ends the process, whatever the guest inside thinks of it, and waits for the end. Its disks are flushed when it is
 * asked, not when it is killed.
 *
 * Returns: whether it has ended
 */
gboolean
vs_guest_end (VsGuest *guest, VsProcessEnd how, gint64 timeout, GCancellable *cancellable, GError **error)
{
  return vs_process_end (guest->process, how, timeout, cancellable, error);
}

/**
 * vs_guest_cleanup:
 * @guest: a guest that has exited
 *
 * Removes its sockets, pidfile, record and definition, and its directory when nothing else is in it. An emulated TPM
 * that is still there is told to end. Doesn't wait.
 */
void
vs_guest_cleanup (VsGuest *guest)
{
  vs_guest_clean_directory (vs_guest_get_directory (guest));
}

/**
 * vs_guest_remove_directory:
 * @runtime_directory: the service's runtime directory
 * @uuid: the uuid of a domain of which no guest runs
 *
 * As vs_guest_cleanup(), when there is no guest to be asked.
 */
void
vs_guest_remove_directory (const char *runtime_directory, const char *uuid)
{
  g_autofree char *directory = vs_guest_directory (runtime_directory, uuid);

  vs_guest_clean_directory (directory);
}
