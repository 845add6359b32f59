/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The program that encodes or decodes an image's stream: started, waited for, ended, and quoted when it fails. What it
 * says goes into a file in memory that can't grow, so it is bounded, and nobody has to read along. Blocking; one thread
 * at a time.
 */
#include "vs-image-program.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is kept of its words; whole pages, for the kernel takes no part of one. */
#define MAX_WORDS 65536
/* What is quoted of them. */
#define MAX_QUOTE 1024
/* No progress for so long: it hangs. */
#define STALL_SECONDS 120
/* One that has closed its end of the stream ends soon, or not at all. */
#define LAST_BREATH_MS 2000

struct _VsImageProgram
{
  char *name;
  GPid pid; /* 0: it ended, and was waited for */
  int pidfd;
  int words_fd;
  int status;
  int failure_code;
};

static int
poll_once (int fd, GCancellable *cancellable, int milliseconds)
{
  GPollFD fds[2] = { { .fd = fd, .events = G_IO_IN } };
  guint n = g_cancellable_make_pollfd (cancellable, &fds[1]) ? 2 : 1;

  g_poll (fds, n, milliseconds);
  if (n == 2)
    g_cancellable_release_fd (cancellable);
  return fds[0].revents;
}

/**
 * vs_image_wait:
 * @fd: what becomes readable in the end
 * @progress: tells whether there is progress
 * @data: for @progress
 * @cancellable: (nullable): ends the wait
 * @error: %VMSNAP_ERROR_CANCELLED; %VMSNAP_ERROR_TIMEOUT: there was no progress for two minutes
 *
 * Returns: whether @fd is readable
 */
gboolean
vs_image_wait (int fd, VsImageProgress progress, gpointer data, GCancellable *cancellable, GError **error)
{
  guint64 before = progress (data);
  gint64 deadline = g_get_monotonic_time () + STALL_SECONDS * G_USEC_PER_SEC;

  while (poll_once (fd, cancellable, 1000) == 0)
    {
      guint64 now = progress (data);

      if (g_cancellable_is_cancelled (cancellable))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "cancelled while the image was being completed");
          return FALSE;
        }
      if (now != before)
        deadline = g_get_monotonic_time () + STALL_SECONDS * G_USEC_PER_SEC;
      before = now;
      if (g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT,
                       "the image made no progress for %d s: does its storage hang?", STALL_SECONDS);
          return FALSE;
        }
    }
  return TRUE;
}

/* A file for words, of a fixed size. */
static int
open_words (GError **error)
{
  int fd = memfd_create ("vmsnap-words", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd >= 0 && ftruncate (fd, MAX_WORDS) == 0
      && fcntl (fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
    return fd;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "couldn't make a file in memory: %s", g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* Its words are looked for errors in, and options in the environment aren't ours. */
static char **
make_environment (void)
{
  static const char *const foreign[] = { "GZIP",     "BZIP",       "BZIP2",         "XZ_DEFAULTS",
                                         "XZ_OPT",   "LZOP",       "ZSTD_CLEVEL",   "ZSTD_NBTHREADS" };
  char **environment = g_environ_setenv (g_get_environ (), "LC_ALL", "C", TRUE);

  for (guint i = 0; i < G_N_ELEMENTS (foreign); i++)
    environment = g_environ_unsetenv (environment, foreign[i]);
  return environment;
}

static gboolean
spawn (VsImageProgram *self, const char *const *command, int input_fd, int output_fd, GError **error)
{
  g_auto (GStrv) environment = make_environment ();
  g_autoptr (GError) local = NULL;

  if (!g_spawn_async_with_pipes_and_fds ("/", command, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD,
                                         NULL, NULL, input_fd, output_fd, self->words_fd, NULL, NULL, 0, &self->pid,
                                         NULL, NULL, NULL, &local))
    {
      self->pid = 0;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "couldn't start %s: %s", command[0], local->message);
      return FALSE;
    }
  self->pidfd = pidfd_open (self->pid, 0);
  if (self->pidfd >= 0 && fcntl (self->pidfd, F_SETFD, FD_CLOEXEC) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "couldn't watch %s: %s", command[0], g_strerror (errno));
  return FALSE;
}

/**
 * vs_image_program_start:
 * @command: (array zero-terminated=1): the program's path, and its arguments
 * @input_fd: what it reads; stays open
 * @output_fd: what it writes; stays open
 * @failure_code: a #VmSnapError for when it fails and its words don't tell of a better one
 * @error: %VMSNAP_ERROR_FAILED
 *
 * Returns: (transfer full): the program
 */
VsImageProgram *
vs_image_program_start (const char *const *command, int input_fd, int output_fd, int failure_code, GError **error)
{
  g_autoptr (VsImageProgram) self = g_new0 (VsImageProgram, 1);

  self->name = g_path_get_basename (command[0]);
  self->failure_code = failure_code;
  self->pidfd = -1;
  self->words_fd = open_words (error);
  if (self->words_fd < 0 || !spawn (self, command, input_fd, output_fd, error))
    return NULL;
  return g_steal_pointer (&self);
}

static void
reap (VsImageProgram *self)
{
  while (waitpid (self->pid, &self->status, 0) < 0 && errno == EINTR)
    ;
  self->pid = 0;
}

/**
 * vs_image_program_free:
 * @self: (transfer full): a program, which is killed if it still runs
 */
void
vs_image_program_free (VsImageProgram *self)
{
  vs_image_program_end (self, FALSE, NULL);
  if (self->pidfd >= 0)
    close (self->pidfd);
  if (self->words_fd >= 0)
    close (self->words_fd);
  g_free (self->name);
  g_free (self);
}

/**
 * vs_image_program_get_pidfd:
 * @self: a program
 *
 * Returns: what becomes readable when it has ended
 */
int
vs_image_program_get_pidfd (VsImageProgram *self)
{
  return self->pidfd;
}

/* What it said, in one line of UTF-8. */
static char *
get_words (VsImageProgram *self)
{
  char words[MAX_QUOTE + 1] = { 0 };
  ssize_t got = pread (self->words_fd, words, MAX_QUOTE, 0);
  g_autofree char *valid = g_utf8_make_valid (words, got > 0 ? (gssize)strlen (words) : 0);

  for (char *c = valid; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  return g_strdup (g_strstrip (valid));
}

static int
guess_code (VsImageProgram *self, const char *words)
{
  static const int full[] = { ENOSPC, EDQUOT, EFBIG };

  for (guint i = 0; i < G_N_ELEMENTS (full); i++)
    if (strstr (words, strerrordesc_np (full[i])) != NULL)
      return VMSNAP_ERROR_NO_SPACE;
  if (strstr (words, strerrordesc_np (EIO)) != NULL)
    return VMSNAP_ERROR_IO;
  return self->failure_code;
}

static gboolean
judge (VsImageProgram *self, GError **error)
{
  g_autofree char *words = NULL;
  g_autofree char *end = NULL;
  int code;

  if (WIFEXITED (self->status) && WEXITSTATUS (self->status) == 0)
    return TRUE;
  words = get_words (self);
  if (WIFSIGNALED (self->status))
    end = g_strdup_printf ("was killed by signal %d", WTERMSIG (self->status));
  else
    end = g_strdup_printf ("failed with status %d", WEXITSTATUS (self->status));
  code = guess_code (self, words);
  g_set_error (error, VMSNAP_ERROR, code, "%s, which the image goes through, %s%s%s%s", self->name, end,
               *words != '\0' ? ": " : ", without a word", words,
               code == VMSNAP_ERROR_NO_SPACE ? "; make room, or save it elsewhere" : "");
  return FALSE;
}

/**
 * vs_image_program_join:
 * @self: a program that has ended: its pidfd is readable
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, or the code it was started with; quotes it
 *
 * Returns: whether it ended well
 */
gboolean
vs_image_program_join (VsImageProgram *self, GError **error)
{
  if (self->pid != 0)
    reap (self);
  return judge (self, error);
}

/**
 * vs_image_program_end:
 * @self: a program
 * @wait: whether it looks as if it were about to end by itself
 * @error: (nullable): why it failed, if it did before it was killed
 *
 * Ends it, by force if need be.
 */
void
vs_image_program_end (VsImageProgram *self, gboolean wait, GError **error)
{
  if (self->pid == 0)
    return;
  if (self->pidfd >= 0 && poll_once (self->pidfd, NULL, wait ? LAST_BREATH_MS : 0) != 0)
    {
      vs_image_program_join (self, error);
      return;
    }
  kill (self->pid, SIGKILL);
  reap (self);
}
