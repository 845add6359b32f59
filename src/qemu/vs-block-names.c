/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How block nodes and disk devices are called at QEMU, so that both the command line and whoever talks about a disk
 * later know it. Pure; any thread.
 */
#include "vs-command-line.h"

#include <string.h>

/* A node's name has to begin with a letter; `.` can't occur in a target, so that no two targets meet. */
static const char *
node_prefix (const char *target)
{
  return g_ascii_isalpha (*target) ? "" : "n.";
}

/**
 * vs_block_node_name:
 * @target: a disk's target: `vda`
 * @index: of the file in the chain, counted from the base, which is 0
 *
 * Returns: (transfer full): the name of the block node with the format, no longer than the 31 bytes QEMU allows
 */
char *
vs_block_node_name (const char *target, guint index)
{
  return g_strdup_printf ("%s%.15s-%u", node_prefix (target), target, index);
}

/**
 * vs_block_storage_node_name:
 * @target: a disk's target: `vda`
 * @index: of the file in the chain, counted from the base
 *
 * Returns: (transfer full): the name of the block node with the bytes, below the one of vs_block_node_name()
 */
char *
vs_block_storage_node_name (const char *target, guint index)
{
  return g_strdup_printf ("%s%.15s-%u-file", node_prefix (target), target, index);
}

/**
 * vs_block_next_node_name:
 * @target: a disk's target: `vda`
 * @taken: (array zero-terminated=1): names of nodes that there are, of any disk
 *
 * The name for a file that joins a running guest: one more than the highest index there is, so that no name is used
 * again while its former owner may still be around. Its storage node is this with `-file` behind it.
 *
 * Returns: (transfer full): the name
 */
char *
vs_block_next_node_name (const char *target, const char *const *taken)
{
  g_autofree char *first = vs_block_node_name (target, 0);
  gsize stem = strlen (first) - 1;
  guint next = 0;

  for (gsize i = 0; taken[i] != NULL; i++)
    {
      guint64 index;
      g_autofree char *number = NULL;

      if (strncmp (taken[i], first, stem) != 0)
        continue;
      number = g_strndup (taken[i] + stem, strspn (taken[i] + stem, "0123456789"));
      if (g_ascii_string_to_unsigned (number, 10, 0, G_MAXINT32, &index, NULL))
        next = MAX (next, (guint)index + 1);
    }
  return vs_block_node_name (target, next);
}

/**
 * vs_block_device_id:
 * @target: a disk's target: `vda`
 *
 * Returns: (transfer full): the id of the disk's device: `disk-vda`
 */
char *
vs_block_device_id (const char *target)
{
  return g_strconcat ("disk-", target, NULL);
}
