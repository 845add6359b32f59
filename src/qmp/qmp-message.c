/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The messages of QMP: what a command looks like on the wire, and what has come from it. Pure; any thread.
 *
 * The protocol: https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
#include "qmp-message.h"

#include <string.h>

#include "vmsnap-error.h"

#define MAX_DESC 2000

/**
 * qmp_message_build_command:
 * @command: the command's name
 * @arguments: (nullable): its arguments
 * @id: what QEMU shall put into the answer; -1: nothing, for guest agents before 2.12 refuse it
 *
 * Returns: (transfer full): the command as one line, with its end
 */
char *
qmp_message_build_command (const char *command, JsonObject *arguments, gint64 id)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  JsonObject *message = json_object_new ();
  g_autofree char *text = NULL;

  json_object_set_string_member (message, "execute", command);
  if (arguments != NULL)
    json_object_set_object_member (message, "arguments", json_object_ref (arguments));
  if (id >= 0)
    json_object_set_int_member (message, "id", id);
  json_node_take_object (root, message);

  text = json_to_string (root, FALSE);
  return g_strconcat (text, "\n", NULL);
}

/**
 * qmp_message_classify:
 * @message: what came from QEMU
 *
 * Returns: what it is; %QMP_MESSAGE_INVALID when it is nothing that QMP knows
 */
QmpMessageType
qmp_message_classify (JsonObject *message)
{
  gboolean has_return = json_object_has_member (message, "return");
  gboolean has_error = json_object_has_member (message, "error");

  if (has_return != has_error)
    {
      if (has_return)
        return QMP_MESSAGE_RETURN;
      if (qmp_json_get_string (qmp_json_get_object (message, "error"), "desc") != NULL)
        return QMP_MESSAGE_ERROR;
      return QMP_MESSAGE_INVALID;
    }
  if (has_return)
    return QMP_MESSAGE_INVALID;
  if (qmp_json_get_string (message, "event") != NULL)
    return QMP_MESSAGE_EVENT;
  if (qmp_json_get_object (message, "QMP") != NULL)
    return QMP_MESSAGE_GREETING;
  return QMP_MESSAGE_INVALID;
}

/**
 * qmp_message_get_id:
 * @message: an answer
 *
 * Returns: the id of the command that it answers, or -1 when it has none of our kind
 */
gint64
qmp_message_get_id (JsonObject *message)
{
  gint64 id = -1;

  qmp_json_get_int (message, "id", &id);
  return id >= 0 ? id : -1;
}

/**
 * qmp_message_get_time:
 * @message: an event
 *
 * Returns: when it happened by QEMU's clock, in microseconds since the epoch, or 0 when it doesn't say
 */
gint64
qmp_message_get_time (JsonObject *message)
{
  JsonObject *timestamp = qmp_json_get_object (message, "timestamp");
  gint64 seconds = -1;
  gint64 microseconds = -1;

  qmp_json_get_int (timestamp, "seconds", &seconds);
  qmp_json_get_int (timestamp, "microseconds", &microseconds);
  if (seconds < 0 || seconds >= G_MAXINT64 / G_USEC_PER_SEC || microseconds < 0 || microseconds >= G_USEC_PER_SEC)
    return 0;
  return seconds * G_USEC_PER_SEC + microseconds;
}

static gboolean
get_number (JsonObject *object, const char *key, guint *number)
{
  gint64 value;

  if (!qmp_json_get_int (object, key, &value) || value < 0 || value > G_MAXINT)
    return FALSE;
  *number = (guint) value;
  return TRUE;
}

/**
 * qmp_message_get_version:
 * @greeting: a greeting
 * @major: (out): first number of QEMU's version
 * @minor: (out): second number
 * @micro: (out): third number
 *
 * Returns: whether the greeting tells a version
 */
gboolean
qmp_message_get_version (JsonObject *greeting, guint *major, guint *minor, guint *micro)
{
  JsonObject *version = qmp_json_get_object (qmp_json_get_object (greeting, "QMP"), "version");
  JsonObject *qemu = qmp_json_get_object (version, "qemu");

  return get_number (qemu, "major", major) && get_number (qemu, "minor", minor) && get_number (qemu, "micro", micro);
}

/* What the peer says, short enough for an error message; a copy. */
static char *
shorten (const char *desc)
{
  const char *end;

  if (desc == NULL)
    return g_strdup ("no reason given");
  if (strlen (desc) <= MAX_DESC)
    return g_strdup (desc);
  g_utf8_validate_len (desc, MAX_DESC, &end);
  return g_strdup_printf ("%.*s...", (int) (end - desc), desc);
}

/**
 * qmp_error_code_for_words:
 * @words: what QEMU says went wrong
 *
 * QEMU has no codes for what the system told it, only the C library's words (in the C locale, in which we start it).
 *
 * Returns: %VMSNAP_ERROR_NO_SPACE or %VMSNAP_ERROR_HYPERVISOR
 */
int
qmp_error_code_for_words (const char *words)
{
  return strstr (words, "No space left on device") != NULL || strstr (words, "Disk quota exceeded") != NULL
           ? VMSNAP_ERROR_NO_SPACE
           : VMSNAP_ERROR_HYPERVISOR;
}

/**
 * qmp_message_to_error:
 * @message: an answer of the type %QMP_MESSAGE_ERROR
 * @command: the command that it answers
 *
 * QEMU's classes of errors mean little since 1.2: all but a few are GenericError, and only CommandNotFound gets a code
 * of its own here. A class other than GenericError stands at the message's end, where qmp_error_is_class() finds it.
 *
 * Returns: (transfer full): %VMSNAP_ERROR_HYPERVISOR with the command and QEMU's words, %VMSNAP_ERROR_NO_SPACE where they
 * say so, or %VMSNAP_ERROR_NOT_SUPPORTED for a command that this QEMU doesn't have
 */
GError *
qmp_message_to_error (JsonObject *message, const char *command)
{
  JsonObject *object = qmp_json_get_object (message, "error");
  const char *class_name = qmp_json_get_string (object, "class");
  g_autofree char *desc = shorten (qmp_json_get_string (object, "desc"));
  int code = qmp_error_code_for_words (desc);

  if (g_strcmp0 (class_name, "CommandNotFound") == 0)
    return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                        "This version of QEMU has no command '%s': %s (CommandNotFound)", command, desc);
  if (class_name == NULL || g_str_equal (class_name, "GenericError"))
    return g_error_new (VMSNAP_ERROR, code, "QEMU refused '%s': %s", command, desc);
  return g_error_new (VMSNAP_ERROR, code, "QEMU refused '%s': %s (%s)", command, desc, class_name);
}

/**
 * qmp_error_is_class:
 * @error: (nullable): an error from a command
 * @class_name: one of QEMU's classes of errors, but not "GenericError": "DeviceNotFound", "DeviceNotActive", ...
 *
 * Returns: whether @error is QEMU's answer to a command, and of this class
 */
gboolean
qmp_error_is_class (const GError *error, const char *class_name)
{
  g_autofree char *suffix = g_strdup_printf (" (%s)", class_name);

  if (!g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR)
      && !g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED))
    return FALSE;
  return g_str_has_suffix (error->message, suffix);
}
