/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether the host has memory for a second guest.
 */
#include <string.h>

#include "vs-beside.h"

#define MIB ((guint64) 1 << 20)

static void
test_enough_is_not_told (void)
{
  g_assert_null (vs_beside_explain_memory (8192 * MIB, 4096 * MIB));
  g_assert_null (vs_beside_explain_memory (G_MAXUINT64, 4096 * MIB));
  g_assert_null (vs_beside_explain_memory (1024 * MIB, 0));
}

static void
test_too_little_is_told_with_its_numbers (void)
{
  g_autofree char *less = vs_beside_explain_memory (4000 * MIB, 4096 * MIB);
  g_autofree char *same = vs_beside_explain_memory (4096 * MIB, 4096 * MIB);
  g_autofree char *none = vs_beside_explain_memory (0, 0);

  g_assert_nonnull (strstr (less, "4000 MiB"));
  g_assert_nonnull (same);
  g_assert_nonnull (none);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/beside/enough-memory-is-not-spoken-of", test_enough_is_not_told);
  g_test_add_func ("/beside/too-little-memory-is-told-with-its-numbers", test_too_little_is_told_with_its_numbers);
  return g_test_run ();
}
