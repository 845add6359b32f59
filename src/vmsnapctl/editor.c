/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A text in the user's editor, again and again until it will do or the user gives up. Lives in the main thread.
 */
#include "editor.h"

#include "format.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *
find_editor (void)
{
  const char *const names[] = { "VISUAL", "EDITOR" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const char *editor = g_getenv (names[i]);

      if (editor != NULL && *editor != '\0')
        return editor;
    }
  return "vi";
}

/* The variable may hold options, too, so it is the shell's business to take it apart. */
static gboolean
run_editor (const char *path, GError **error)
{
  const char *editor = find_editor ();
  g_autofree char *command = g_strdup_printf ("%s \"$1\"", editor);
  g_autoptr (GSubprocess) process
    = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_INHERIT, error, "sh", "-c", command, "sh", path, NULL);

  if (process != NULL && g_subprocess_wait_check (process, NULL, error))
    return TRUE;
  g_prefix_error (error, "The editor, '%s', failed, so nothing was changed; EDITOR may name another: ", editor);
  return FALSE;
}

/* Whether the user wants to edit once more. */
static gboolean
ask_again (const GError *error)
{
  g_autofree char *message = ctl_format_plain (error->message, TRUE);
  char answer[16];

  if (!isatty (STDIN_FILENO))
    return FALSE;
  g_printerr ("%s\nEdit again? [Y/n] ", message);
  return fgets (answer, sizeof answer, stdin) != NULL && g_ascii_tolower (*answer) != 'n';
}

static gboolean
edit_file (const char *path, const char *text, CtlEdited take, gpointer user_data, gboolean *changed, GError **error)
{
  for (;;)
    {
      g_autofree char *edited = NULL;
      g_autoptr (GError) local_error = NULL;

      if (!run_editor (path, error) || !g_file_get_contents (path, &edited, NULL, error))
        return FALSE;
      *changed = strcmp (edited, text) != 0;
      if (!*changed || take (edited, user_data, &local_error))
        return TRUE;
      if (!ask_again (local_error))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
    }
}

/**
 * ctl_edit:
 * @text: a text
 * @take: takes what has become of it
 * @user_data: for @take
 * @changed: (out): whether anything has become of it
 * @error: why it wasn't done
 *
 * Lets the user edit @text. What @take refuses may be edited again.
 *
 * Returns: whether the text was taken, or is as it was
 */
gboolean
ctl_edit (const char *text, CtlEdited take, gpointer user_data, gboolean *changed, GError **error)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("vmsnapctl-XXXXXX.xml", &path, error);
  gboolean good;

  *changed = FALSE;
  if (fd < 0)
    return FALSE;
  close (fd);
  good = g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error)
         && edit_file (path, text, take, user_data, changed, error);
  unlink (path);
  return good;
}
