/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Preloaded into a libvirtd that root starts: it takes itself for a user's own and keeps to that user's directories,
 * where root's would serve the whole machine. Root's files are still its own, and its guests'. A user namespace would
 * do, too, but not everywhere is one to be had.
 */
#include <unistd.h>

/* nobody's: libvirt wants a user that has a name */
#define USER 65534

uid_t
getuid (void)
{
  return USER;
}

uid_t
geteuid (void)
{
  return USER;
}
