/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The manager's methods for saved images, which come as descriptors: restore, inspect, rewrite. What waits for the disk
 * is done on workers: the beginning is read by a parse function, and rewritten by a task. The rest: main thread.
 */
#include "bus-image.h"

#include "vmsnap-error.h"
#include "vs-operations.h"

typedef struct {
  gboolean running;
  gboolean paused;
  gboolean bypass_cache;
  gboolean no_queue;
  char *xml;
} ImageOptions;

static const BusOption restore_options[] = {
  BUS_OPTION_FLAG (ImageOptions, running, "running", BUS_OPTION_EXCLUDES ("paused")),
  BUS_OPTION_FLAG (ImageOptions, paused, "paused"),
  BUS_OPTION_FLAG (ImageOptions, bypass_cache, "bypass-cache"),
  BUS_OPTION_VALUE (ImageOptions, xml, "xml", "s"),
  BUS_OPTION_QUEUE (ImageOptions),
  BUS_OPTION_END,
};
const BusOptionTable bus_image_restore_table = { sizeof (ImageOptions), restore_options };

static const BusOption rewrite_options[] = {
  BUS_OPTION_VALUE (ImageOptions, xml, "xml", "s"),
  BUS_OPTION_FLAG (ImageOptions, running, "running", BUS_OPTION_EXCLUDES ("paused")),
  BUS_OPTION_FLAG (ImageOptions, paused, "paused"),
  BUS_OPTION_END,
};
const BusOptionTable bus_image_rewrite_table = { sizeof (ImageOptions), rewrite_options };

/* The image that a call is about, and the definition that came with it, if any. */
typedef struct {
  VsSavedImage *image;
  VsDomainDef *def;
} Parsed;

static void
parsed_free (Parsed *parsed)
{
  g_clear_pointer (&parsed->image, vs_saved_image_free);
  g_clear_pointer (&parsed->def, vs_domain_def_unref);
  g_free (parsed);
}

static gboolean
open_image (BusCall *call, GError **error)
{
  int fd = bus_call_get_fd (call, 0, error);
  Parsed *parsed;

  if (fd < 0)
    return FALSE;
  parsed = call->parsed = g_new0 (Parsed, 1);
  call->parsed_free = (GDestroyNotify) parsed_free;
  parsed->image = vs_saved_image_open (fd, error);
  return parsed->image != NULL;
}

static gboolean
parse_xml (BusCall *call, GError **error)
{
  const ImageOptions *options = call->options;
  Parsed *parsed = call->parsed;

  if (options->xml == NULL)
    return TRUE;
  parsed->def = vs_domain_def_parse (options->xml, parsed->image->def_flags, error);
  return parsed->def != NULL;
}

/* Refuses an image whose definition isn't one, or, with @needs_def, can't be run here. */
static gboolean
check_definition (BusCall *call, gboolean needs_def, GError **error)
{
  const Parsed *parsed = call->parsed;
  const GError *problem = parsed->image->def_error;

  if (problem == NULL || (!needs_def && problem->code != VMSNAP_ERROR_IMAGE_CORRUPT))
    return TRUE;
  g_propagate_error (error, g_error_copy (problem));
  return FALSE;
}

gboolean
bus_image_parse_restore (BusCall *call, GError **error)
{
  return open_image (call, error) && parse_xml (call, error) && check_definition (call, TRUE, error);
}

gboolean
bus_image_parse_inspect (BusCall *call, GError **error)
{
  return open_image (call, error) && check_definition (call, FALSE, error);
}

gboolean
bus_image_parse_rewrite (BusCall *call, GError **error)
{
  const ImageOptions *options = call->options;

  return open_image (call, error) && parse_xml (call, error)
         && check_definition (call, options->xml != NULL, error);
}

/* As when something is defined: polkit is told whose image it is, by the name that this domain has here if it is here; and
 * of a definition that gives it another name, that one too. */
gboolean
bus_image_prepare (BusCall *call, GError **error)
{
  const Parsed *parsed = call->parsed;
  VsDomain *present = vs_engine_find_domain (call->engine, parsed->image->uuid);

  call->about.domain_uuid = g_strdup (parsed->image->uuid);
  call->about.domain_name = g_strdup (present != NULL ? vs_domain_get_name (present) : parsed->image->name);
  if (parsed->def != NULL && !g_str_equal (call->about.domain_name, parsed->def->name))
    call->about.new_name = g_strdup (parsed->def->name);
  return TRUE;
}

static gboolean
is_same_text (VsDomainDef *def, const char *text)
{
  g_autofree char *other = def != NULL ? vs_domain_def_format (def) : NULL;

  return g_strcmp0 (other, text) == 0;
}

/* A definition names the emulator, its arguments and any path of the host: whoever brings one in defines. The known
 * domain's own one is here by somebody's right already. */
static gboolean
brings_definition (BusCall *call)
{
  const Parsed *parsed = call->parsed;
  VsDomain *present = vs_engine_find_domain (call->engine, parsed->image->uuid);
  g_autofree char *text = NULL;

  if (present == NULL || parsed->def != NULL)
    return TRUE;
  text = vs_domain_def_format (parsed->image->def);
  return !is_same_text (vs_domain_get_def (present), text)
         && !is_same_text (vs_domain_get_inactive_def (present), text);
}

gboolean
bus_image_prepare_restore (BusCall *call, GError **error)
{
  if (brings_definition (call))
    call->about.more = BUS_AUTH_MORE_DEFINE;
  return bus_image_prepare (call, error);
}

/* Polkit may have taken long, and the domain may have gone or changed since it was told what this takes; @call is ended
 * here then. */
static gboolean
check_still_own (BusCall *call)
{
  if ((call->about.more & BUS_AUTH_MORE_DEFINE) != 0 || !brings_definition (call))
    return TRUE;
  bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                                    "Meanwhile the definition of '%s' has changed, or gone: look at it, and try again",
                                    call->about.domain_name));
  return FALSE;
}

static void
on_restoring (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;
  g_autoptr (VsJob) job = vs_operation_restore_finish (VS_ENGINE (source), result, &error);

  bus_call_return_job (call, job, error);
}

void
bus_image_run_restore (BusCall *call)
{
  const ImageOptions *options = call->options;
  const Parsed *parsed = call->parsed;
  VsRequest request = bus_call_get_request (call, options->no_queue);
  VsRestoreOptions restore = {
    .running = options->running,
    .paused = options->paused,
    .bypass_cache = options->bypass_cache,
    .def = parsed->def,
  };

  if (bus_call_check_name (call) && check_still_own (call))
    vs_operation_restore_async (call->engine, parsed->image, &restore, &request, on_restoring, call);
}

static void
add_string (GVariantBuilder *builder, const char *key, const char *value)
{
  g_variant_builder_add (builder, "{sv}", key, g_variant_new_string (value));
}

void
bus_image_run_inspect (BusCall *call)
{
  VsSavedImage *image = ((const Parsed *) call->parsed)->image;
  const VsImageHeader *header = image->header;
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&builder, "{sv}", "format-version", g_variant_new_uint32 (VS_IMAGE_FORMAT_VERSION));
  g_variant_builder_add (&builder, "{sv}", "complete", g_variant_new_boolean (header->complete));
  add_string (&builder, "state", header->running ? "running" : "paused");
  add_string (&builder, "encoding", vs_image_encoding_to_nick (header->encoding));
  add_string (&builder, "domain-name", image->name);
  add_string (&builder, "domain-uuid", image->uuid);
  add_string (&builder, "xml", header->xml);
  g_variant_builder_add (&builder, "{sv}", "memory-size",
                         g_variant_new_uint64 (vs_saved_image_get_memory_size (image)));
  bus_call_return (call, g_variant_new ("(a{sv})", &builder));
}

static void
rewrite_in_worker (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  BusCall *call = task_data;
  const ImageOptions *options = call->options;
  const Parsed *parsed = call->parsed;
  VsImageState state = options->running  ? VS_IMAGE_STATE_RUNNING
                       : options->paused ? VS_IMAGE_STATE_PAUSED
                                         : VS_IMAGE_STATE_KEEP;
  GError *error = NULL;

  if (vs_saved_image_rewrite (parsed->image, parsed->def, state, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_rewritten (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;

  if (g_task_propagate_boolean (G_TASK (result), &error))
    bus_call_return (call, NULL);
  else
    bus_call_fail (call, error);
}

void
bus_image_run_rewrite (BusCall *call)
{
  g_autoptr (GTask) task = g_task_new (call->engine, NULL, on_rewritten, call);

  g_task_set_task_data (task, call, NULL);
  g_task_run_in_thread (task, rewrite_in_worker);
}
