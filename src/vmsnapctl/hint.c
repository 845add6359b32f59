/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the service can't say in its errors: which of this program's options is meant or helps. Its words are those of
 * the bus, for all its clients. Pure; any thread.
 */
#include "hint.h"

#include <string.h>
#include <vmsnap.h>

/* What stands in a message, and what that is here. */
static const struct
{
  const char *words;
  const char *here;
} translations[] = {
  { "location=internal", "location=internal is --internal" },
  { "location=external", "location=external is --external" },
  { "Option 'location'", "'location' is --location" },
  { "queue=false", "queue=false is --no-queue" },
  { "'queue'", "calling without 'queue' is leaving out --no-queue" },
  { "'disks'", "'disks' is --disk" },
  { "'redefine'", "'redefine' is the command 'snapshot redefine'" },
  { "start with discard-managed-save", "discard-managed-save is --discard-managed-save" },
  { "metadata-only", "metadata-only is --metadata-only" },
};

/* Options of the bus that are called so here, too. */
static const char *const same[]
  = { "atomic", "bypass-cache", "children", "children-only", "description", "discard-managed-save", "disk-only",
      "encoding", "force", "halt", "live", "memory-path", "no-metadata", "pause", "paused", "quiesce",
      "reuse-external", "running" };

/* Words in quotes may be names, too: only in a complaint about options are they these. */
static gboolean
is_about_options (int code)
{
  return code == VMSNAP_ERROR_INVALID_ARGUMENT || code == VMSNAP_ERROR_NOT_SUPPORTED;
}

static char *
translate (const GError *error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *list = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (translations); i++)
    if (strstr (error->message, translations[i].words) != NULL)
      g_ptr_array_add (found, g_strdup (translations[i].here));
  for (gsize i = 0; is_about_options (error->code) && i < G_N_ELEMENTS (same); i++)
    {
      g_autofree char *quoted = g_strdup_printf ("'%s'", same[i]);

      if (strstr (error->message, quoted) != NULL)
        g_ptr_array_add (found, g_strdup_printf ("%s is --%s", quoted, same[i]));
    }
  if (found->len == 0)
    return NULL;
  g_ptr_array_add (found, NULL);
  list = g_strjoinv (", ", (char **)found->pdata);
  return g_strdup_printf ("here %s", list);
}

/**
 * ctl_hint_for:
 * @error: what the service said, or the library
 *
 * Returns: (transfer full) (nullable): which option of this program helps, or is meant
 */
char *
ctl_hint_for (const GError *error)
{
  if (error->domain != VMSNAP_ERROR)
    return NULL;
  switch (error->code)
    {
    case VMSNAP_ERROR_HAS_SNAPSHOTS:
      return g_strdup ("--snapshots-metadata forgets the snapshots too");
    case VMSNAP_ERROR_HAS_MANAGED_SAVE:
      return g_strdup ("'vmsnapctl managed-save-remove' removes the saved state, as 'vmsnapctl undefine --managed-save' does");
    case VMSNAP_ERROR_HAS_CHILDREN:
      return g_strdup ("--children takes the descendants along");
    case VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN:
      return g_strdup ("run it where an authentication agent can ask you, or as an administrator");
    default:
      return translate (error);
    }
}
