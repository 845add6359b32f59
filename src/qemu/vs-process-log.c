/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file that a process writes to: begun with what was run and when, read for its last words. Stateless; any thread.
 */
#include "vs-process-log.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What of a log goes into an error's message. */
#define LAST_WORDS_BYTES 2048

static char *
quote_argv (const char *const *argv)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; argv[i] != NULL; i++)
    {
      g_autofree char *quoted = g_shell_quote (argv[i]);

      g_string_append_printf (text, "%s%s", i > 0 ? " " : "", quoted);
    }
  return g_string_free (text, FALSE);
}

/**
 * vs_process_log_open:
 * @path: a log
 * @argv: (array zero-terminated=1): what is about to be run
 * @offset: (out): where its output will begin
 * @error: %VMSNAP_ERROR_IO, %VMSNAP_ERROR_NO_SPACE
 *
 * Opens a log for appending, and writes the first line of a life: its date and command line.
 *
 * Returns: a descriptor to close, or -1
 */
int
vs_process_log_open (const char *path, const char *const *argv, gint64 *offset, GError **error)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *date = g_date_time_format_iso8601 (now);
  g_autofree char *command = quote_argv (argv);
  g_autofree char *line = g_strdup_printf ("%s: starting %s\n", date, command);
  int fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

  if (fd < 0 || write (fd, line, strlen (line)) < 0)
    {
      int errsv = errno;
      g_autofree char *what = g_strdup_printf ("Can't write the log %s", path);

      g_set_error (error, VMSNAP_ERROR, errsv == ENOSPC ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO, "%s: %s", what,
                   g_strerror (errsv));
      if (fd >= 0)
        close (fd);
      return -1;
    }
  *offset = lseek (fd, 0, SEEK_END);
  return fd;
}

/**
 * vs_process_log_read_tail:
 * @path: a log
 * @from: the first byte that may be of interest
 *
 * Returns: (transfer full): the end of it, no longer than can be put into a message; empty when it can't be read
 */
char *
vs_process_log_read_tail (const char *path, gint64 from)
{
  g_autofree char *buffer = g_malloc (LAST_WORDS_BYTES + 1);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
  gint64 size = fd >= 0 ? lseek (fd, 0, SEEK_END) : -1;
  ssize_t got = -1;

  if (size > from)
    got = pread (fd, buffer, LAST_WORDS_BYTES, MAX (from, size - LAST_WORDS_BYTES));
  if (fd >= 0)
    close (fd);
  if (got <= 0)
    return g_strdup ("");
  return g_utf8_make_valid (buffer, got);
}
