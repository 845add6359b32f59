/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands as they are written, messages as they are told apart, errors as they are put into words.
 */
#include "qmp-message.h"

#include <string.h>

#include "vmsnap-error.h"

static JsonObject *
parse (const char *text)
{
  g_autoptr (JsonNode) node = json_from_string (text, NULL);

  g_assert_nonnull (node);
  return json_node_dup_object (node);
}

static char *
to_text (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);

  return json_to_string (node, FALSE);
}

static void
test_command (void)
{
  g_autoptr (JsonObject) arguments = qmp_args_new ("s:tag", "a\"\n\xc3\xa4", "b:force", TRUE, NULL);
  g_autofree char *with = qmp_message_build_command ("x", arguments, 7);
  g_autofree char *without = qmp_message_build_command ("query-status", NULL, 8);

  g_assert_cmpstr (with, ==,
                   "{\"execute\":\"x\",\"arguments\":{\"tag\":\"a\\\"\\n\xc3\xa4\",\"force\":true},\"id\":7}\n");
  g_assert_cmpstr (without, ==, "{\"execute\":\"query-status\",\"id\":8}\n");
}

static void
test_args (void)
{
  const char *const disks[] = { "d0", "d1", NULL };
  JsonArray *array = json_array_new ();
  JsonNode *node = json_node_init_int (json_node_alloc (), 3);
  g_autoptr (JsonObject) args = NULL;
  g_autofree char *text = NULL;

  json_array_add_null_element (array);
  args = qmp_args_new ("s:s", "text", "i:i", (gint64) G_MAXINT64, "b:b", FALSE, "S:S", disks, "o:o",
                       qmp_args_new ("s:x", "y", NULL), "a:a", array, "n:n", node, NULL);
  text = to_text (args);
  g_assert_cmpstr (text, ==,
                   "{\"s\":\"text\",\"i\":9223372036854775807,\"b\":false,\"S\":[\"d0\",\"d1\"],\"o\":{\"x\":\"y\"},"
                   "\"a\":[null],\"n\":3}");
}

static void
test_args_leave_out_null (void)
{
  g_autoptr (JsonObject) args = qmp_args_new ("s:s", NULL, "S:S", NULL, "o:o", NULL, "a:a", NULL, "n:n", NULL, NULL);
  g_autoptr (JsonObject) none = qmp_args_new (NULL, NULL);

  g_assert_cmpuint (json_object_get_size (args), ==, 0);
  g_assert_cmpuint (json_object_get_size (none), ==, 0);
}

static const struct
{
  const char *text;
  QmpMessageType type;
} messages[] = {
  { "{\"QMP\": {\"version\": {}, \"capabilities\": []}}", QMP_MESSAGE_GREETING },
  { "{\"return\": {}, \"id\": 1}", QMP_MESSAGE_RETURN },
  { "{\"return\": []}", QMP_MESSAGE_RETURN },
  { "{\"return\": null}", QMP_MESSAGE_RETURN },
  { "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 1}", QMP_MESSAGE_ERROR },
  { "{\"event\": \"STOP\"}", QMP_MESSAGE_EVENT },
  { "{\"event\": \"STOP\", \"data\": {}, \"timestamp\": {}}", QMP_MESSAGE_EVENT },
  { "{}", QMP_MESSAGE_INVALID },
  { "{\"QMP\": 1}", QMP_MESSAGE_INVALID },
  { "{\"error\": \"no\"}", QMP_MESSAGE_INVALID },
  { "{\"error\": {\"class\": \"GenericError\"}}", QMP_MESSAGE_INVALID },
  { "{\"error\": {\"desc\": {}}}", QMP_MESSAGE_INVALID },
  { "{\"event\": {}}", QMP_MESSAGE_INVALID },
  { "{\"event\": null}", QMP_MESSAGE_INVALID },
  { "{\"return\": {}, \"error\": {\"desc\": \"no\"}}", QMP_MESSAGE_INVALID },
  { "{\"hello\": 1}", QMP_MESSAGE_INVALID },
};

static void
test_classify (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (messages); i++)
    {
      g_autoptr (JsonObject) message = parse (messages[i].text);

      g_test_message ("%s", messages[i].text);
      g_assert_cmpint (qmp_message_classify (message), ==, messages[i].type);
    }
}

static void
test_id (void)
{
  const char *const without[] = { "{}",           "{\"id\": \"1\"}", "{\"id\": null}", "{\"id\": {}}",
                                  "{\"id\": -5}", "{\"id\": 1.5}",   "{\"id\": [1]}" };
  g_autoptr (JsonObject) with = parse ("{\"id\": 17}");

  g_assert_cmpint (qmp_message_get_id (with), ==, 17);
  for (guint i = 0; i < G_N_ELEMENTS (without); i++)
    {
      g_autoptr (JsonObject) message = parse (without[i]);

      g_assert_cmpint (qmp_message_get_id (message), ==, -1);
    }
}

static void
test_time (void)
{
  const char *const without[] = {
    "{}",
    "{\"timestamp\": 5}",
    "{\"timestamp\": {\"seconds\": 5}}",
    "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}}",
    "{\"timestamp\": {\"seconds\": 9223372036854775807, \"microseconds\": 1}}",
    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 1000000}}",
    "{\"timestamp\": {\"seconds\": \"1\", \"microseconds\": 1}}",
  };
  g_autoptr (JsonObject) with = parse ("{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}}");

  g_assert_cmpint (qmp_message_get_time (with), ==, G_GINT64_CONSTANT (1700000000123456));
  for (guint i = 0; i < G_N_ELEMENTS (without); i++)
    {
      g_autoptr (JsonObject) message = parse (without[i]);

      g_assert_cmpint (qmp_message_get_time (message), ==, 0);
    }
}

static void
test_version (void)
{
  g_autoptr (JsonObject) good
    = parse ("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"d\"}}}");
  g_autoptr (JsonObject) bad = parse ("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": -1, \"minor\": 2}}}}");
  g_autoptr (JsonObject) none = parse ("{\"QMP\": {}}");
  guint major = 0;
  guint minor = 0;
  guint micro = 0;

  g_assert_true (qmp_message_get_version (good, &major, &minor, &micro));
  g_assert_cmpuint (major * 10000 + minor * 100 + micro, ==, 70222);
  g_assert_false (qmp_message_get_version (bad, &major, &minor, &micro));
  g_assert_false (qmp_message_get_version (none, &major, &minor, &micro));
}

static GError *
error_for (const char *text, const char *command)
{
  g_autoptr (JsonObject) message = parse (text);

  return qmp_message_to_error (message, command);
}

static void
test_error_carries_the_words (void)
{
  g_autoptr (GError) error = error_for ("{\"error\": {\"class\": \"GenericError\", \"desc\": \"Snapshot 'one' exists\"}}",
                                        "snapshot-save");

  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_cmpstr (error->message, ==, "QEMU refused 'snapshot-save': Snapshot 'one' exists");
  g_assert_false (qmp_error_is_class (error, "DeviceNotFound"));
}

static void
test_error_class (void)
{
  g_autoptr (GError) error = error_for ("{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Node 'x' not found\"}}",
                                        "eject");

  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_cmpstr (error->message, ==, "QEMU refused 'eject': Node 'x' not found (DeviceNotFound)");
  g_assert_true (qmp_error_is_class (error, "DeviceNotFound"));
  g_assert_false (qmp_error_is_class (error, "CommandNotFound"));
  g_assert_false (qmp_error_is_class (NULL, "DeviceNotFound"));
}

static void
test_no_space (void)
{
  g_autoptr (GError) error = error_for ("{\"error\": {\"class\": \"GenericError\", \"desc\": "
                                        "\"Could not write: No space left on device\"}}",
                                        "transaction");

  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, "Could not write"));
}

static void
test_unknown_command (void)
{
  g_autoptr (GError) error = error_for ("{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such\"}}", "fly");

  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "'fly'"));
  g_assert_true (qmp_error_is_class (error, "CommandNotFound"));
}

static void
test_long_error_is_cut (void)
{
  g_autoptr (GString) text = g_string_new ("{\"error\": {\"desc\": \"");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 100000; i++)
    g_string_append (text, "\xe2\x82\xac");
  g_string_append (text, "\"}}");
  error = error_for (text->str, "x");
  g_assert_cmpuint (strlen (error->message), <, 2200);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* json-glib's own getters call these a programmer's error. */
static void
test_getters_take_anything (void)
{
  const char *const keys[] = { "none", "null", "string", "int", "bool", "object", "array", "double" };
  g_autoptr (JsonObject) object = parse ("{\"null\": null, \"string\": \"s\", \"int\": 5, \"bool\": true, \"object\": {}, "
                                         "\"array\": [{}, 1], \"double\": 1.5}");
  gint64 value = 17;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_assert_true ((qmp_json_get_string (object, keys[i]) != NULL) == g_str_equal (keys[i], "string"));
      g_assert_true (qmp_json_get_int (object, keys[i], NULL) == g_str_equal (keys[i], "int"));
      g_assert_true (qmp_json_get_boolean (object, keys[i], FALSE) == g_str_equal (keys[i], "bool"));
      g_assert_true ((qmp_json_get_object (object, keys[i]) != NULL) == g_str_equal (keys[i], "object"));
      g_assert_true ((qmp_json_get_array (object, keys[i]) != NULL) == g_str_equal (keys[i], "array"));
    }
  g_assert_false (qmp_json_get_int (object, "string", &value));
  g_assert_cmpint (value, ==, 17);
  g_assert_null (qmp_json_get_string (NULL, "x"));
  g_assert_null (qmp_json_get_object (NULL, "x"));
  g_assert_nonnull (qmp_json_array_get_object (qmp_json_get_array (object, "array"), 0));
  g_assert_null (qmp_json_array_get_object (qmp_json_get_array (object, "array"), 1));
  g_assert_null (qmp_json_array_get_object (qmp_json_get_array (object, "array"), 2));
  g_assert_null (qmp_json_array_get_object (NULL, 0));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qmp/message/command-is-one-line", test_command);
  g_test_add_func ("/qmp/message/arguments-of-every-type", test_args);
  g_test_add_func ("/qmp/message/arguments-leave-out-null", test_args_leave_out_null);
  g_test_add_func ("/qmp/message/kinds-are-told-apart", test_classify);
  g_test_add_func ("/qmp/message/only-our-ids-are-ids", test_id);
  g_test_add_func ("/qmp/message/time-or-nothing", test_time);
  g_test_add_func ("/qmp/message/version-or-nothing", test_version);
  g_test_add_func ("/qmp/message/error-carries-command-and-words", test_error_carries_the_words);
  g_test_add_func ("/qmp/message/error-class-can-be-asked", test_error_class);
  g_test_add_func ("/qmp/message/full-disk-is-no-space", test_no_space);
  g_test_add_func ("/qmp/message/unknown-command-is-not-supported", test_unknown_command);
  g_test_add_func ("/qmp/message/long-error-is-cut", test_long_error_is_cut);
  g_test_add_func ("/qmp/message/getters-take-anything", test_getters_take_anything);
  return g_test_run ();
}
