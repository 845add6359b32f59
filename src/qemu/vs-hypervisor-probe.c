/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Asks an emulator binary what it can do: starts it without a machine, with its monitor on standard input and output,
 * and asks its schema, never its version number. One probe has one deadline, and leaves no process behind. Stateless;
 * any thread but the main one, for it waits.
 */
#include "vs-hypervisor-private.h"

#include "qmp-client.h"
#include "vmsnap-error.h"
#include "vs-process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A file in memory that takes no more than this of what the emulator has to say. */
#define MAX_WORDS (64 * 1024)
#define MAX_LINES 10

/* Between the monitor's end and the process's end. */
#define DEATH_TIMEOUT (2 * G_USEC_PER_SEC)

typedef struct
{
  const char *path;
  gint64 deadline;
  GCancellable *cancellable;
  VsProcess *process;
  int words;
  QmpClient *client;
} Probe;

static void
probe_clear (Probe *probe)
{
  g_clear_object (&probe->client);
  if (probe->process != NULL)
    {
      /* It has no machine and no files: nothing to tidy up. */
      vs_process_end (probe->process, VS_PROCESS_END_KILL, 0, NULL, NULL);
      vs_process_unref (probe->process);
    }
  if (probe->words >= 0)
    close (probe->words);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Probe, probe_clear)

static void
machine_type_free (VsMachineType *machine)
{
  g_free (machine->name);
  g_free (machine->alias);
  g_free (machine);
}

/**
 * vs_hypervisor_facts_free:
 * @facts: (transfer full): what a probe found out
 */
void
vs_hypervisor_facts_free (VsHypervisorFacts *facts)
{
  g_free (facts->version);
  g_free (facts->arch);
  g_strfreev (facts->features);
  g_ptr_array_unref (facts->machines);
  g_free (facts);
}

/* Starts it with a socket as its standard input and output. Returns our end, or -1. */
static int
start (Probe *probe, GError **error)
{
  const char *const argv[] = { probe->path, "-machine", "none",  "-nodefaults", "-no-user-config", "-display", "none",
                               "-S",        "-qmp",     "stdio", NULL };
  VsProcessSpec spec = { .argv = argv, .dies_with_us = TRUE };
  int fds[2];

  probe->words = memfd_create ("words", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (probe->words < 0 || ftruncate (probe->words, MAX_WORDS) != 0
      || fcntl (probe->words, F_ADD_SEALS, F_SEAL_GROW) != 0
      || socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "Can't prepare to start %s: %s", probe->path,
                   g_strerror (errno));
      return -1;
    }
  spec.input_fd = spec.output_fd = fds[1];
  spec.error_fd = probe->words;
  probe->process = vs_process_spawn (&spec, error);
  close (fds[1]);
  if (probe->process != NULL)
    return fds[0];
  close (fds[0]);
  return -1;
}

/* The last lines of what it said. */
static char *
read_words (Probe *probe)
{
  g_autofree char *buffer = g_malloc0 (MAX_WORDS + 1);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint n;

  if (pread (probe->words, buffer, MAX_WORDS, 0) < 0)
    return g_strdup ("");
  text = g_utf8_make_valid (buffer, -1);
  lines = g_strsplit (g_strstrip (text), "\n", -1);
  n = g_strv_length (lines);
  return g_strjoinv ("; ", n > MAX_LINES ? lines + n - MAX_LINES : lines);
}

static gint64
time_left (Probe *probe)
{
  return MAX (probe->deadline - g_get_monotonic_time (), 0);
}

/* Tells what went wrong with it in terms of the program, not of the monitor. */
static void
explain (Probe *probe, const GError *failure, GError **error)
{
  g_autofree char *words = NULL;
  g_autofree char *end = NULL;
  const char *between;

  if (failure->code == VMSNAP_ERROR_HYPERVISOR_GONE)
    vs_process_wait (probe->process, DEATH_TIMEOUT, NULL, NULL);
  words = read_words (probe);
  between = *words != '\0' ? ": " : "";
  end = vs_process_describe_end (probe->process);

  if (failure->code == VMSNAP_ERROR_CANCELLED)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while asking %s what it can do", probe->path);
  else if (failure->code == VMSNAP_ERROR_TIMEOUT)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT,
                 "%s was ended, for it didn't answer when asked what it can do. Is it QEMU?%s%s", probe->path,
                 *words != '\0' ? " It said: " : "", words);
  else if (vs_process_has_ended (probe->process))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s %s when asked what it can do%s%s", probe->path, end,
                 between, words);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s doesn't answer as QEMU does (%s). Is it QEMU?%s%s",
                 probe->path, failure->message, *words != '\0' ? " It said: " : "", words);
}

static JsonNode *
ask (Probe *probe, const char *command, JsonObject *arguments, JsonNodeType type, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (JsonNode) reply
    = qmp_client_call_full (probe->client, command, arguments, -1, time_left (probe), probe->cancellable, &failure);

  if (reply != NULL && json_node_get_node_type (reply) != type)
    g_set_error (&failure, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "its answer to %s is of another form", command);
  if (failure == NULL)
    return g_steal_pointer (&reply);
  explain (probe, failure, error);
  return NULL;
}

/* Every element of an array of objects. */
typedef void (*ElementFunc) (JsonObject *element, gpointer data);

static void
for_each (JsonNode *array_node, ElementFunc func, gpointer data)
{
  JsonArray *array = json_node_get_array (array_node);

  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_OBJECT (node))
        func (json_node_get_object (node), data);
    }
}

static const char *
get_string (JsonObject *object, const char *member)
{
  JsonNode *node = json_object_get_member (object, member);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

static gboolean
get_boolean (JsonObject *object, const char *member)
{
  JsonNode *node = json_object_get_member (object, member);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_boolean (node);
}

static void
add_machine (JsonObject *element, gpointer machines)
{
  VsMachineType *machine;

  if (get_string (element, "name") == NULL)
    return;
  machine = g_new0 (VsMachineType, 1);
  machine->name = g_strdup (get_string (element, "name"));
  machine->alias = g_strdup (get_string (element, "alias"));
  machine->is_default = get_boolean (element, "is-default");
  g_ptr_array_add (machines, machine);
}

/* The schema: a list of entities that refer to one another by name. */

static void
index_entity (JsonObject *element, gpointer table)
{
  if (get_string (element, "name") != NULL)
    g_hash_table_insert (table, (gpointer)get_string (element, "name"), element);
}

static JsonObject *
follow (GHashTable *schema, JsonObject *entity, const char *member)
{
  const char *name = entity != NULL ? get_string (entity, member) : NULL;

  return name != NULL ? g_hash_table_lookup (schema, name) : NULL;
}

/* An element of an object's or enum's list, by name. */
static JsonObject *
find_member (JsonObject *entity, const char *list, const char *name)
{
  JsonNode *node = entity != NULL ? json_object_get_member (entity, list) : NULL;
  JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_OBJECT (element)
          && g_strcmp0 (get_string (json_node_get_object (element), "name"), name) == 0)
        return json_node_get_object (element);
    }
  return NULL;
}

static gboolean
enum_has (JsonObject *entity, const char *value)
{
  JsonNode *node = entity != NULL ? json_object_get_member (entity, "values") : NULL;
  JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    if (g_strcmp0 (json_array_get_string_element (array, i), value) == 0)
      return TRUE;
  return FALSE;
}

/* Each a path through the schema: a command; an argument of it; a value of that argument's enum. */
static const struct
{
  const char *feature;
  const char *command;
  const char *argument; /* or NULL */
  const char *value;    /* or NULL */
} schema_features[] = {
  { "blockdev-reopen", "blockdev-reopen", NULL, NULL },
  { "blockdev-snapshot", "blockdev-snapshot", NULL, NULL },
  { "block-commit", "block-commit", NULL, NULL },
  { "block-stream", "block-stream", NULL, NULL },
  { "direct-io", "migrate-set-parameters", "direct-io", NULL },
  { "migrate-channels", "migrate", "channels", NULL },
  { "migrate-pause", "migrate-continue", NULL, NULL },
  { "screendump-device", "screendump", "device", NULL },
  { "screendump-png", "screendump", "format", "png" },
  { "snapshot-jobs", "snapshot-save", NULL, NULL },
  { "transaction", "transaction", NULL, NULL },
};

static void
add_schema_features (GPtrArray *features, JsonNode *reply)
{
  g_autoptr (GHashTable) schema = g_hash_table_new (g_str_hash, g_str_equal);

  for_each (reply, index_entity, schema);
  for (gsize i = 0; i < G_N_ELEMENTS (schema_features); i++)
    {
      JsonObject *command = g_hash_table_lookup (schema, schema_features[i].command);
      JsonObject *argument = NULL;

      if (command == NULL || g_strcmp0 (get_string (command, "meta-type"), "command") != 0)
        continue;
      if (schema_features[i].argument != NULL)
        argument = find_member (follow (schema, command, "arg-type"), "members", schema_features[i].argument);
      if (schema_features[i].argument != NULL && argument == NULL)
        continue;
      if (schema_features[i].value != NULL && !enum_has (follow (schema, argument, "type"), schema_features[i].value))
        continue;
      g_ptr_array_add (features, g_strdup (schema_features[i].feature));
    }
}

static void
add_capability (JsonObject *element, gpointer names)
{
  if (get_string (element, "capability") != NULL)
    g_ptr_array_add (names, (gpointer)get_string (element, "capability"));
}

/* A capability that QEMU lists may still be refused by the kernel: this one needs userfaultfd and the right to it. So
 * it is tried; the process is thrown away in any case. */
static gboolean
try_capability (Probe *probe, const char *name)
{
  JsonObject *arguments = json_object_new ();
  g_autoptr (JsonNode) reply = NULL;
  JsonArray *list = json_array_new ();
  JsonObject *capability = json_object_new ();

  json_object_set_string_member (capability, "capability", name);
  json_object_set_boolean_member (capability, "state", TRUE);
  json_array_add_object_element (list, capability);
  json_object_set_array_member (arguments, "capabilities", list);
  reply = qmp_client_call_full (probe->client, "migrate-set-capabilities", arguments, -1, time_left (probe),
                                probe->cancellable, NULL);
  return reply != NULL;
}

static void
add_capabilities (Probe *probe, GPtrArray *features, JsonNode *reply)
{
  static const struct
  {
    const char *capability;
    const char *feature;
  } known[] = {
    { "background-snapshot", "background-snapshot" },         { "mapped-ram", "mapped-ram" }, { "multifd", "multifd" },
    { "pause-before-switchover", "pause-before-switchover" }, { "postcopy-ram", "postcopy" },
  };
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for_each (reply, add_capability, names);
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_ptr_array_find_with_equal_func (names, known[i].capability, g_str_equal, NULL)
        && (!g_str_equal (known[i].capability, "background-snapshot") || try_capability (probe, known[i].capability)))
      g_ptr_array_add (features, g_strdup (known[i].feature));
}

/* What QEMU loads from a module when it is asked for, and what may not be installed: nothing but the asking tells. */
static gboolean
try_command (Probe *probe, const char *command, const char *arguments)
{
  g_autoptr (JsonNode) parsed = json_from_string (arguments, NULL);
  g_autoptr (JsonNode) reply
    = qmp_client_call_full (probe->client, command, json_object_ref (json_node_get_object (parsed)), -1, time_left (probe),
                            probe->cancellable, NULL);

  return reply != NULL;
}

static void
add_modules (Probe *probe, GPtrArray *features)
{
  static const struct
  {
    const char *feature;
    const char *command;
    const char *arguments;
  } modules[] = {
    { "spice", "chardev-add",
      "{\"id\": \"tried\", \"backend\": {\"type\": \"spicevmc\", \"data\": {\"type\": \"usbredir\"}}}" },
    { "qxl", "device-list-properties", "{\"typename\": \"qxl-vga\"}" },
    { "usb-redir", "device-list-properties", "{\"typename\": \"usb-redir\"}" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (modules); i++)
    if (try_command (probe, modules[i].command, modules[i].arguments))
      g_ptr_array_add (features, g_strdup (modules[i].feature));
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static gboolean
ask_all (Probe *probe, VsHypervisorFacts *facts, GError **error)
{
  g_autoptr (JsonNode) target = ask (probe, "query-target", NULL, JSON_NODE_OBJECT, error);
  g_autoptr (JsonNode) machines = target ? ask (probe, "query-machines", NULL, JSON_NODE_ARRAY, error) : NULL;
  g_autoptr (JsonNode) schema = machines ? ask (probe, "query-qmp-schema", NULL, JSON_NODE_ARRAY, error) : NULL;
  g_autoptr (JsonNode) able = schema ? ask (probe, "query-migrate-capabilities", NULL, JSON_NODE_ARRAY, error) : NULL;
  g_autoptr (GPtrArray) features = g_ptr_array_new_with_free_func (g_free);
  guint major, minor, micro;

  if (able == NULL)
    return FALSE;
  qmp_client_get_version (probe->client, &major, &minor, &micro);
  facts->version = g_strdup_printf ("%u.%u.%u", major, minor, micro);
  facts->arch = g_strdup (get_string (json_node_get_object (target), "arch"));
  for_each (machines, add_machine, facts->machines);
  add_schema_features (features, schema);
  add_capabilities (probe, features, able);
  add_modules (probe, features);
  g_ptr_array_sort (features, compare_strings);
  g_ptr_array_add (features, NULL);
  facts->features = (GStrv)g_ptr_array_steal (features, NULL);
  return TRUE;
}

/**
 * vs_hypervisor_probe:
 * @path: path of an emulator
 * @timeout: how long all of it may take, in microseconds
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_HYPERVISOR when it ends or isn't QEMU, %VMSNAP_ERROR_TIMEOUT
 *
 * Returns: (transfer full): what it can do
 */
VsHypervisorFacts *
vs_hypervisor_probe (const char *path, gint64 timeout, GCancellable *cancellable, GError **error)
{
  g_auto (Probe) probe = { path, g_get_monotonic_time () + timeout, cancellable, NULL, -1, NULL };
  g_autoptr (VsHypervisorFacts) facts = g_new0 (VsHypervisorFacts, 1);
  g_autoptr (GError) failure = NULL;
  int fd;

  facts->machines = g_ptr_array_new_with_free_func ((GDestroyNotify)machine_type_free);
  fd = start (&probe, error);
  if (fd < 0)
    return NULL;
  probe.client = qmp_client_new_for_fd (fd, path, time_left (&probe), cancellable, &failure);
  if (probe.client == NULL)
    {
      explain (&probe, failure, error);
      return NULL;
    }
  return ask_all (&probe, facts, error) ? g_steal_pointer (&facts) : NULL;
}
