/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where a snapshot's memory is, as its XML tells it.
 */
#include "memory-place.h"

#define COOKIE(name, value)                                                                                            \
  "<cookie xmlns:vmsnap='https://vmsnap.org/xmlns/snapshot/1'><vmsnap:fact name='" name "'>" value                     \
  "</vmsnap:fact></cookie>"

static void
check (const char *inside, const char *expected)
{
  g_autofree char *xml = g_strconcat ("<?xml version='1.0'?><domainsnapshot><name>x</name>", inside,
                                      "</domainsnapshot>", NULL);
  g_autofree char *place = ctl_memory_place (xml);

  g_assert_cmpstr (place, ==, expected);
}

static void
test_file (void)
{
  check ("<memory snapshot='external' file='/a &amp; b/m'/>", "/a & b/m");
}

static void
test_disk (void)
{
  check ("<memory snapshot='internal'/>" COOKIE ("size", "1") COOKIE ("vmstate", "vdb"), "vdb");
}

static void
test_nowhere (void)
{
  check ("<memory snapshot='no'/>", NULL);
  check ("<memory snapshot='internal'/>" COOKIE ("size", "1"), NULL);
  check ("<domain><memory file='/x'>1</memory></domain>", NULL);
  check ("<domain><memory file='/x'>1</memory></domain><memory file='/y'/>", "/y");
  check ("<disks><fact name='vmstate'>vda</fact></disks>", NULL);
}

static void
test_broken (void)
{
  check ("<memory file='/x'/></nonsense>", NULL);
  check ("<memory file='/x", NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl/memory-place/external-memory-is-in-its-file", test_file);
  g_test_add_func ("/ctl/memory-place/internal-memory-is-in-a-disk", test_disk);
  g_test_add_func ("/ctl/memory-place/other-elements-tell-nothing", test_nowhere);
  g_test_add_func ("/ctl/memory-place/broken-text-tells-nothing", test_broken);
  return g_test_run ();
}
