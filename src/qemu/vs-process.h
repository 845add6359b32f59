/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/**
 * VsProcessFd:
 * @source: a descriptor of ours
 * @target: its number in the child, 3 or more
 *
 * A descriptor that crosses into a child. All others are closed there.
 */
typedef struct {
  int source;
  int target;
} VsProcessFd;

/**
 * VsProcessSpec:
 * @argv: program and arguments; an absolute path is run as it is, any other is looked for in PATH
 * @environment: (array zero-terminated=1) (nullable): `NAME=VALUE`, besides our own environment
 * @log_path: (nullable): where standard output and error go, appended behind a header that tells the date and @argv;
 *   %NULL: nowhere
 * @directory: (nullable): its working directory; %NULL: the root
 * @input_fd: its standard input, or 0: nothing
 * @output_fd: instead of a log: where standard output goes, or 0
 * @error_fd: instead of a log: where standard error goes, or 0
 * @fds: (array length=n_fds) (nullable): descriptors that cross
 * @n_fds: how many
 * @dies_with_us: whether it is killed when the service dies; for what has no purpose without it
 * @privileged: whether it may gain privileges, as a set-uid helper has to
 *
 * What vs_process_spawn() needs to know.
 */
typedef struct {
  const char *const *argv;
  const char *const *environment;
  const char *log_path;
  const char *directory;
  int input_fd;
  int output_fd;
  int error_fd;
  const VsProcessFd *fds;
  gsize n_fds;
  gboolean dies_with_us;
  gboolean privileged;
} VsProcessSpec;

/**
 * VsProcess:
 *
 * One process, known by its descriptor and therefore never mistaken for a later one with the same number. Counted
 * references, usable from any thread. Letting go of it doesn't end the process.
 */
typedef struct _VsProcess VsProcess;

/**
 * VsProcessEnd:
 * @VS_PROCESS_END_TERM: ask with SIGTERM, and kill when the time is over
 * @VS_PROCESS_END_KILL: kill at once
 *
 * How to end a process.
 */
typedef enum {
  VS_PROCESS_END_TERM,
  VS_PROCESS_END_KILL,
} VsProcessEnd;

VsProcess *vs_process_spawn (const VsProcessSpec *spec,
                             GError **error);
VsProcess *vs_process_open (pid_t pid,
                            guint64 start_time,
                            GError **error);
void vs_process_set_log (VsProcess *process,
                         const char *path);
VsProcess *vs_process_ref (VsProcess *process);
void vs_process_unref (VsProcess *process);

pid_t vs_process_get_pid (VsProcess *process);
guint64 vs_process_get_start_time (VsProcess *process);
int vs_process_get_pidfd (VsProcess *process);
gboolean vs_process_has_ended (VsProcess *process);
char *vs_process_describe_end (VsProcess *process);
char *vs_process_get_last_words (VsProcess *process);

gboolean vs_process_signal (VsProcess *process,
                            int signum,
                            GError **error);
gboolean vs_process_wait (VsProcess *process,
                          gint64 timeout,
                          GCancellable *cancellable,
                          GError **error);
gboolean vs_process_end (VsProcess *process,
                         VsProcessEnd how,
                         gint64 timeout,
                         GCancellable *cancellable,
                         GError **error);

void vs_process_set_witness (int fd);
int vs_process_get_witness (void);
gboolean vs_process_run_spec (const VsProcessSpec *spec,
                              gsize max_output,
                              gint64 timeout,
                              GCancellable *cancellable,
                              char **output,
                              char **errors,
                              GError **error);
gboolean vs_process_run (const char *const *argv,
                         gsize max_output,
                         gint64 timeout,
                         GCancellable *cancellable,
                         char **output,
                         char **errors,
                         GError **error);

gboolean vs_process_read_start_time (pid_t pid,
                                     guint64 *start_time,
                                     GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsProcess, vs_process_unref)

G_END_DECLS
