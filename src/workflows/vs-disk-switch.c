/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Switching disks to their overlays: one transaction in the guest, and then whatever else says where a disk is: the
 * guest's definition, the next start's, the domain's chains, the claims. Threads of runs.
 */
#include "vs-disk-switch.h"

#include "vmsnap-error.h"
#include "vs-engine.h"
#include "vs-overlays.h"
#include "vs-record.h"
#include "vs-snapshot-create.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* What the definitions were, to give them back to the letter */
#define FACT_LIVE_BEFORE "live-before"
#define FACT_INACTIVE_BEFORE "inactive-before"

static void
add_action (JsonArray *actions, const char *type, JsonObject *data)
{
  json_array_add_object_element (actions, qmp_args_new ("s:type", type, "o:data", data, NULL));
}

/**
 * vs_disk_switch_prepare:
 * @run: a run whose overlays are ready
 * @error: where to put an error
 *
 * Returns: (transfer full) (nullable): the arguments of the `transaction` that does all of it: overlays, and internal
 *   snapshots where the set is mixed
 */
JsonObject *
vs_disk_switch_prepare (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  g_autoptr (GPtrArray) states = vs_tags_find_nodes (run, tag, error);
  JsonArray *actions;

  if (states == NULL)
    return NULL;
  actions = json_array_new ();
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      add_action (actions, "blockdev-snapshot",
                  qmp_args_new ("s:node", vs_overlay_get (overlay, VS_OVERLAY_BASE_NODE), "s:overlay",
                                vs_overlay_get (overlay, VS_OVERLAY_NODE), NULL));
    }
  for (guint i = 0; i < states->len; i++)
    add_action (actions, "blockdev-snapshot-internal-sync",
                qmp_args_new ("s:device", ((const VsTagState *) g_ptr_array_index (states, i))->node, "s:name", tag, NULL));
  return qmp_args_new ("a:actions", actions, NULL);
}

/**
 * vs_disk_switch_run:
 * @run: a run with a guest
 * @arguments: (transfer full): from vs_disk_switch_prepare()
 * @error: where to put an error
 *
 * All disks at one instant, or none. A guest that runs needn't be stopped for it: QEMU lets no request through meanwhile.
 *
 * Returns: whether the guest writes to the overlays from now on
 */
gboolean
vs_disk_switch_run (VsRun *run, JsonObject *arguments, GError **error)
{
  return vs_steps_call (run, "transaction", arguments, error);
}

/* The definition with those disks elsewhere that are where they are expected; @def itself when there is none. */
static VsDomainDef *
redirect (VsRun *run, VsDomainDef *def, gboolean to_overlays, GError **error)
{
  g_autoptr (VsDomainDef) result = vs_domain_def_ref (def);

  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      const char *target = vs_overlay_get (overlay, VS_OVERLAY_TARGET);
      const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
      const char *base = vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH);
      const VsDiskDef *disk = vs_domain_def_find_disk (result, target);
      VsDomainDef *next;

      if (disk == NULL || g_strcmp0 (disk->path, to_overlays ? base : path) != 0)
        continue;
      next = vs_domain_def_copy_with_disk_source (result, target, to_overlays ? path : base,
                                                  to_overlays ? "qcow2" : vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT),
                                                  error);
      if (next == NULL)
        return NULL;
      vs_domain_def_unref (result);
      result = next;
    }
  return g_steal_pointer (&result);
}

/* The way back: to the letter, unless somebody changed the definition meanwhile. */
static VsDomainDef *
give_back (VsRun *run, VsDomainDef *def, const char *fact, GError **error)
{
  const char *before = vs_run_get_string (run, fact);
  g_autoptr (VsDomainDef) old = before != NULL ? vs_domain_def_parse (before, VS_DOMAIN_DEF_NONE, NULL) : NULL;
  g_autoptr (VsDomainDef) switched = old != NULL ? redirect (run, old, TRUE, NULL) : NULL;
  g_autofree char *expected = switched != NULL ? vs_domain_def_format (switched) : NULL;
  g_autofree char *present = vs_domain_def_format (def);

  if (g_strcmp0 (expected, present) == 0)
    return g_steal_pointer (&old);
  return redirect (run, def, FALSE, error);
}

typedef struct
{
  VsDomainDef *live; /* NULL: no guest */
  VsDomainDef *inactive;
  GPtrArray *chains;
} Present;

static void
present_clear (Present *present)
{
  g_clear_pointer (&present->live, vs_domain_def_unref);
  g_clear_pointer (&present->inactive, vs_domain_def_unref);
  g_clear_pointer (&present->chains, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Present, present_clear)

static gboolean
get_present (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);
  Present *present = data;

  if (vs_domain_is_active (domain))
    present->live = vs_domain_def_ref (vs_domain_get_def (domain));
  present->inactive = vs_domain_def_ref (vs_domain_get_inactive_def (domain));
  present->chains = g_ptr_array_ref (vs_domain_get_chains (domain));
  return TRUE;
}

/* An overlay, or a disk that gets an internal snapshot. */
static gboolean
takes_part (VsRun *run, const char *target)
{
  g_autoptr (GPtrArray) states = vs_tags_list (run);

  for (guint i = 0; i < vs_overlays_count (run); i++)
    if (g_str_equal (vs_overlay_get (vs_overlays_get (run, i), VS_OVERLAY_TARGET), target))
      return TRUE;
  for (guint i = 0; i < states->len; i++)
    if (g_str_equal (((const VsTagState *) g_ptr_array_index (states, i))->target, target))
      return TRUE;
  return FALSE;
}

static VsDiskChain *
find_chain (GPtrArray *chains, const char *target)
{
  for (guint i = 0; i < chains->len; i++)
    if (g_str_equal (((VsDiskChain *) g_ptr_array_index (chains, i))->target, target))
      return g_ptr_array_index (chains, i);
  return NULL;
}

/* The files as @def has them: those of the disks that take part are looked at anew. */
static GPtrArray *
look_at_chains (VsRun *run, VsDomainDef *def, GPtrArray *known, GError **error)
{
  g_autoptr (GPtrArray) chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      VsDiskChain *chain = find_chain (known, disk->target);

      if (disk->path != NULL && takes_part (run, disk->target))
        {
          chain = vs_disk_chain_probe (disk, vs_run_get_cancellable (run), error);
          if (chain == NULL)
            return NULL;
          g_ptr_array_add (chains, chain);
        }
      else if (chain != NULL)
        g_ptr_array_add (chains, vs_disk_chain_ref (chain));
    }
  return g_steal_pointer (&chains);
}

typedef struct
{
  VsDomainDef *def;
  GPtrArray *chains;
  gboolean show;
} Files;

static gboolean
take_files (VsRun *run, gpointer data, GError **error)
{
  Files *files = data;
  VsDomain *domain = vs_run_get_domain (run);

  if (!vs_engine_claim_disks (vs_run_get_engine (run), files->def, files->chains, error))
    return FALSE;
  if (!files->show)
    return TRUE;
  /* Whoever is told of one of them sees both. */
  g_object_freeze_notify (G_OBJECT (domain));
  if (vs_domain_is_active (domain))
    vs_domain_set_live_def (domain, files->def);
  vs_domain_set_chains (domain, files->chains);
  g_object_thaw_notify (G_OBJECT (domain));
  return TRUE;
}

static gboolean
claim (VsRun *run, VsDomainDef *def, GPtrArray *known, gboolean show, GError **error)
{
  g_autoptr (GPtrArray) chains = look_at_chains (run, def, known, error);
  Files files = { def, chains, show };

  return chains != NULL && vs_run_on_main (run, take_files, &files, error);
}

/**
 * vs_disk_switch_claim:
 * @run: a run whose overlays may be there or not yet
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Makes the disks that take part the domain's, if it has no guest; and, once they are there, the overlays.
 *
 * Returns: whether nobody else uses them
 */
gboolean
vs_disk_switch_claim (VsRun *run, GError **error)
{
  g_auto (Present) present = { 0 };
  VsDomainDef *def;
  g_autoptr (VsDomainDef) next = NULL;

  vs_run_on_main (run, get_present, &present, NULL);
  def = present.live != NULL ? present.live : present.inactive;
  next = redirect (run, def, TRUE, error);
  return next != NULL && claim (run, next, present.chains, FALSE, error);
}

static gboolean
write_definitions (VsRun *run, VsDomainDef *live, VsDomainDef *inactive, GError **error)
{
  return vs_record_set_definition (run, inactive, error)
         && (live == NULL || vs_record_write_live_definition (run, live, error));
}

/**
 * vs_disk_switch_adopt:
 * @run: a run whose guest has switched, or that has none
 * @error: where to put an error
 *
 * The definitions of now and of the next start, and what the engine knows, say the same from now on.
 *
 * Returns: whether they do
 */
gboolean
vs_disk_switch_adopt (VsRun *run, GError **error)
{
  g_auto (Present) present = { 0 };
  g_autoptr (VsDomainDef) live = NULL;
  g_autoptr (VsDomainDef) inactive = NULL;

  vs_run_on_main (run, get_present, &present, NULL);
  live = present.live != NULL ? redirect (run, present.live, TRUE, error) : NULL;
  if (present.live != NULL && live == NULL)
    return FALSE;
  inactive = redirect (run, present.inactive, TRUE, error);
  return inactive != NULL && write_definitions (run, live, inactive, error)
         && claim (run, live != NULL ? live : inactive, present.chains, TRUE, error);
}

/* Notes what the definitions are before they change. */
static void
note (VsRun *run, const char *fact, VsDomainDef *def)
{
  g_autofree char *xml = def != NULL ? vs_domain_def_format (def) : NULL;

  vs_run_set_string (run, fact, xml);
}

/**
 * vs_disk_switch_note:
 * @run: a run before the switch
 *
 * Keeps the definitions as facts, for vs_disk_switch_restore().
 */
void
vs_disk_switch_note (VsRun *run)
{
  g_auto (Present) present = { 0 };

  vs_run_on_main (run, get_present, &present, NULL);
  note (run, FACT_LIVE_BEFORE, present.live);
  note (run, FACT_INACTIVE_BEFORE, present.inactive);
}

/**
 * vs_disk_switch_restore:
 * @run: a run whose disks are what they were before the switch
 * @error: where to put an error
 *
 * Undo of vs_disk_switch_adopt().
 *
 * Returns: whether the definitions speak of those disks again
 */
gboolean
vs_disk_switch_restore (VsRun *run, GError **error)
{
  g_auto (Present) present = { 0 };
  g_autoptr (VsDomainDef) live = NULL;
  g_autoptr (VsDomainDef) inactive = NULL;
  g_autoptr (GError) local = NULL;

  vs_run_on_main (run, get_present, &present, NULL);
  live = present.live != NULL ? give_back (run, present.live, FACT_LIVE_BEFORE, error) : NULL;
  if (present.live != NULL && live == NULL)
    return FALSE;
  inactive = give_back (run, present.inactive, FACT_INACTIVE_BEFORE, error);
  if (inactive == NULL || !write_definitions (run, live, inactive, error))
    return FALSE;
  /* The guest has its files; whether others know is no reason not to go on. */
  if (claim (run, live != NULL ? live : inactive, present.chains, TRUE, &local))
    return TRUE;
  g_warning ("The disks of %s can't be looked at after all: %s", inactive->name, local->message);
  return live == NULL || vs_record_set_live_definition (run, live, error);
}
