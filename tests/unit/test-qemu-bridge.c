/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Taps on bridges. Where this process may have a network of its own (root, with the capability), real bridges and taps
 * in it, and the real helper; elsewhere, what is said to those who may not.
 */
#include "vs-bridge.h"

#include "vmsnap-error.h"
#include "vs-process.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define BRIDGE "vsbr0"
#define TAP "vstap0"

static gboolean has_network;
static char *overlay;

static gboolean
run (const char *script)
{
  const char *const argv[] = { "/bin/sh", "-euc", script, "sh", overlay, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;

  if (vs_process_run (argv, 65536, 30 * G_USEC_PER_SEC, NULL, &output, &errors, &error))
    return TRUE;
  g_test_message ("%s: %s", error->message, errors);
  return FALSE;
}

/* A network, and an /etc, that are this process's alone and vanish with it. */
static gboolean
make_network (void)
{
  overlay = g_dir_make_tmp ("vmsnap-bridge-XXXXXX", NULL);
  return unshare (CLONE_NEWNET | CLONE_NEWNS) == 0 && mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
         && mount ("sysfs", "/sys", "sysfs", 0, NULL) == 0 && mount ("tmpfs", overlay, "tmpfs", 0, NULL) == 0
         && run ("mkdir $1/up $1/work; mount -t overlay none -o lowerdir=/etc,upperdir=$1/up,workdir=$1/work /etc;"
                 "mkdir -p /etc/qemu; ip link add " BRIDGE " type bridge; ip link add other0 type bridge;"
                 "ip tuntap add dev " TAP " mode tap; ip link set " TAP " master " BRIDGE);
}

static int
open_tap (const char *bridge, const char *ifname, GError **error)
{
  g_autoptr (VsHypervisor) hypervisor = vs_hypervisor_get ("qemu-system-x86_64", NULL, NULL);
  const VsInterfaceDef interface = { .type = VS_INTERFACE_BRIDGE, .bridge = (char *)bridge, .ifname = (char *)ifname };

  return vs_bridge_open_tap (hypervisor, &interface, NULL, error);
}

static void
refuse (const char *bridge, const char *ifname, int code, const char *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (open_tap (bridge, ifname, &error), ==, -1);
  g_assert_error (error, VMSNAP_ERROR, code);
  if (strstr (error->message, words) == NULL)
    g_error ("'%s' is not in '%s'", words, error->message);
}

/* Opens a tap, says what it is called, and leaves it open. */
static int
open_well (const char *ifname, char *name)
{
  g_autoptr (GError) error = NULL;
  int fd = open_tap (BRIDGE, ifname, &error);
  struct ifreq request = { 0 };

  g_assert_no_error (error);
  g_assert_cmpint (ioctl (fd, TUNGETIFF, &request), ==, 0);
  g_assert_cmpint (request.ifr_flags & IFF_TAP, ==, IFF_TAP);
  g_strlcpy (name, request.ifr_name, IFNAMSIZ);
  return fd;
}

static void
test_missing_bridge (void)
{
  refuse ("nowhere0", NULL, VMSNAP_ERROR_NOT_FOUND, "no network bridge nowhere0");
  /* A device that is no bridge. */
  refuse ("lo", NULL, VMSNAP_ERROR_NOT_FOUND, "no network bridge lo");
}

static void
test_prepared_tap (void)
{
  char name[IFNAMSIZ];
  int fd;

  if (!has_network)
    {
      refuse (BRIDGE, TAP, VMSNAP_ERROR_NOT_FOUND, BRIDGE);
      return;
    }
  fd = open_well (TAP, name);
  g_assert_cmpstr (name, ==, TAP);
  refuse (BRIDGE, TAP, VMSNAP_ERROR_BUSY, TAP);
  refuse ("other0", TAP, VMSNAP_ERROR_INVALID_STATE, "ip link set " TAP " master other0");
  close (fd);
}

static void
test_helper (void)
{
  char name[IFNAMSIZ];

  if (!has_network)
    {
      refuse (BRIDGE, NULL, VMSNAP_ERROR_NOT_FOUND, BRIDGE);
      return;
    }
  g_assert_true (run ("echo 'deny all' > /etc/qemu/bridge.conf"));
  refuse (BRIDGE, NULL, VMSNAP_ERROR_HYPERVISOR, "allow " BRIDGE);
  g_assert_true (run ("echo 'allow " BRIDGE "' > /etc/qemu/bridge.conf"));
  close (open_well (NULL, name));
  g_assert_cmpstr (name, !=, TAP);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* Before there is a second thread, whose network would be another. */
  has_network = make_network ();
  g_test_message ("a network of its own: %s", has_network ? "yes" : "no");
  g_test_add_func ("/bridge/missing-bridge-is-not-found", test_missing_bridge);
  g_test_add_func ("/bridge/prepared-tap-is-taken", test_prepared_tap);
  g_test_add_func ("/bridge/helper-makes-a-tap-where-it-may", test_helper);
  return g_test_run ();
}
