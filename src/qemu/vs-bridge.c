/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Taps on bridges, as descriptors for QEMU. Making one takes privileges that neither the service nor QEMU has: so
 * either the administrator has made it, for our user, and the definition names it; or QEMU's own helper makes it, where
 * that is installed with the right to. Stateless; any thread but the main one, for it waits.
 */
#include "vs-bridge.h"

#include "vmsnap-error.h"
#include "vs-process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELPER "qemu-bridge-helper"
#define HELPER_FD 3
#define HELPER_TIMEOUT (30 * G_USEC_PER_SEC)

#define DEVICES "/sys/class/net"

static gboolean
check_bridge (const char *bridge, GError **error)
{
  g_autofree char *path = g_build_filename (DEVICES, bridge, "bridge", NULL);

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
               "There is no network bridge %s. Make one, or use <interface type='user'>", bridge);
  return FALSE;
}

/* A tap of this name that somebody has made, and put on this bridge. */
static gboolean
check_tap (const char *name, const char *bridge, gboolean *exists, GError **error)
{
  g_autofree char *flags = g_build_filename (DEVICES, name, "tun_flags", NULL);
  g_autofree char *link = g_build_filename (DEVICES, name, "master", NULL);
  g_autofree char *target = NULL;
  g_autofree char *master = NULL;

  *exists = g_file_test (flags, G_FILE_TEST_EXISTS);
  if (!*exists)
    return TRUE;
  target = g_file_read_link (link, NULL);
  master = target != NULL ? g_path_get_basename (target) : NULL;
  if (g_strcmp0 (master, bridge) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
               "The network device %s isn't on the bridge %s. This command puts it there: ip link set %s master %s",
               name, bridge, name, bridge);
  return FALSE;
}

static int
attach_to_tap (const char *name, GError **error)
{
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC);
  int errsv;

  g_strlcpy (request.ifr_name, name, sizeof request.ifr_name);
  if (fd >= 0 && ioctl (fd, TUNSETIFF, &request) == 0)
    return fd;
  errsv = errno;
  if (fd >= 0)
    close (fd);
  g_set_error (error, VMSNAP_ERROR, errsv == EBUSY ? VMSNAP_ERROR_BUSY : VMSNAP_ERROR_IO,
               "Can't use the network device %s: %s%s", name, g_strerror (errsv),
               errsv == EPERM ? ". It has to belong to this service's user: ip tuntap add … mode tap user …" : "");
  return -1;
}

static int
receive_fd (int socket)
{
  char byte;
  struct iovec iov = { &byte, 1 };
  union
  {
    char bytes[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control;
  struct msghdr message
    = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
  struct cmsghdr *header;
  int fd = -1;

  if (recvmsg (socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
    return -1;
  header = CMSG_FIRSTHDR (&message);
  if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
      && header->cmsg_len == CMSG_LEN (sizeof (int)))
    memcpy (&fd, CMSG_DATA (header), sizeof fd);
  return fd;
}

static gboolean
run_helper (const char *helper, const char *bridge, int socket, GCancellable *cancellable, GError **error)
{
  g_autofree char *bridge_option = g_strconcat ("--br=", bridge, NULL);
  g_autofree char *fd_option = g_strdup_printf ("--fd=%d", HELPER_FD);
  const char *const argv[] = { helper, "--use-vnet", bridge_option, fd_option, NULL };
  const VsProcessFd fd = { socket, HELPER_FD };
  const VsProcessSpec spec = { .argv = argv, .fds = &fd, .n_fds = 1, .privileged = TRUE };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) local = NULL;

  if (vs_process_run_spec (&spec, 4096, HELPER_TIMEOUT, cancellable, &output, &errors, &local))
    return TRUE;
  if (local->code != VMSNAP_ERROR_HYPERVISOR)
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (
      error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR,
      "No tap on bridge %s: %s: %s. It needs the line 'allow %s' in /etc/qemu/bridge.conf and the right to make "
      "network devices. Or make a tap for this service (ip tuntap add … mode tap user …; ip link set … master "
      "%s) and name it in <target dev='…'/>",
      bridge, HELPER, errors != NULL && *errors != '\0' ? errors : local->message, bridge, bridge);
  return FALSE;
}

static int
open_by_helper (const char *helper, const char *bridge, GCancellable *cancellable, GError **error)
{
  int sockets[2];
  int fd = -1;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "Can't make a pair of sockets: %s", g_strerror (errno));
      return -1;
    }
  if (run_helper (helper, bridge, sockets[1], cancellable, error))
    {
      fd = receive_fd (sockets[0]);
      if (fd < 0)
        g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s made no tap on bridge %s, and said nothing",
                     HELPER, bridge);
    }
  close (sockets[0]);
  close (sockets[1]);
  return fd;
}

/**
 * vs_bridge_open_tap:
 * @hypervisor: the emulator, whose helper is used
 * @interface: an interface of type bridge
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no such bridge or no helper, %VMSNAP_ERROR_HYPERVISOR with the helper's
 *   words, %VMSNAP_ERROR_BUSY when the tap is in use, %VMSNAP_ERROR_INVALID_STATE when it is on another bridge
 *
 * Opens the tap that the definition names, when there is one of that name; else has one made.
 *
 * Returns: a descriptor to hand to QEMU and close, or -1
 */
int
vs_bridge_open_tap (VsHypervisor *hypervisor,
                    const VsInterfaceDef *interface,
                    GCancellable *cancellable,
                    GError **error)
{
  g_autofree char *helper = NULL;
  gboolean exists = FALSE;

  if (!check_bridge (interface->bridge, error))
    return -1;
  if (interface->ifname != NULL && !check_tap (interface->ifname, interface->bridge, &exists, error))
    return -1;
  if (exists)
    return attach_to_tap (interface->ifname, error);

  helper = vs_hypervisor_find_program (hypervisor, HELPER);
  if (helper != NULL)
    return open_by_helper (helper, interface->bridge, cancellable, error);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
               HELPER " isn't there. Install it (Debian: the package qemu-system-common)");
  return -1;
}
