/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sockets in a guest's directory. A socket's address holds no more than 107 bytes, and a runtime directory's path may
 * be longer than that: so they are reached through a descriptor of the directory, which makes any path short.
 * Stateless; any thread; doesn't wait.
 */
#include "vs-guest-private.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int
fail (GError **error, int code, const char *what, const char *directory, const char *name)
{
  int errsv = errno;

  g_set_error (error, VMSNAP_ERROR, errsv == ENOENT ? VMSNAP_ERROR_NOT_FOUND : code, "Can't %s %s/%s: %s", what,
               directory, name, g_strerror (errsv));
  return -1;
}

/* Binds or connects @fd by way of @directory_fd. */
static int
with_address (int (*func) (int, const struct sockaddr *, socklen_t), int fd, int directory_fd, const char *name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int length = g_snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);

  if (length >= (int)sizeof address.sun_path)
    {
      errno = ENAMETOOLONG;
      return -1;
    }
  return func (fd, (const struct sockaddr *)&address, sizeof address);
}

/* Whether somebody listens there. If not, what is there is a leftover, and goes. */
static gboolean
is_taken (int directory_fd, const char *name)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  gboolean taken = fd >= 0 && (with_address (connect, fd, directory_fd, name) == 0 || errno == EAGAIN);

  if (fd >= 0)
    close (fd);
  if (!taken)
    unlinkat (directory_fd, name, 0);
  return taken;
}

/**
 * vs_guest_socket_listen:
 * @directory: a guest's directory
 * @name: a file name in it
 * @error: %VMSNAP_ERROR_INVALID_STATE when somebody listens there already
 *
 * Returns: a listening socket to close, or -1
 */
int
vs_guest_socket_listen (const char *directory, const char *name, GError **error)
{
  int directory_fd = open (directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = -1;

  if (directory_fd < 0)
    return fail (error, VMSNAP_ERROR_IO, "open", directory, ".");
  if (is_taken (directory_fd, name))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                 "Somebody listens on %s/%s already: the domain has a guest that runs", directory, name);
  else if ((fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0
           || with_address (bind, fd, directory_fd, name) != 0 || listen (fd, 5) != 0)
    {
      fail (error, errno == ENOSPC ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO, "listen on", directory, name);
      if (fd >= 0)
        close (fd);
      fd = -1;
    }
  close (directory_fd);
  return fd;
}

/**
 * vs_guest_socket_connect:
 * @directory: a guest's directory
 * @name: a file name in it
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_HYPERVISOR_GONE when nobody listens
 *
 * Returns: a connected socket to close, or -1
 */
int
vs_guest_socket_connect (const char *directory, const char *name, GError **error)
{
  int directory_fd = open (directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd;

  if (directory_fd < 0)
    return fail (error, VMSNAP_ERROR_IO, "open", directory, ".");
  /* Not to wait when the queue of a hanging listener is full. */
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || with_address (connect, fd, directory_fd, name) != 0)
    {
      fail (error, errno == ECONNREFUSED ? VMSNAP_ERROR_HYPERVISOR_GONE : VMSNAP_ERROR_IO, "connect to", directory,
            name);
      if (fd >= 0)
        close (fd);
      fd = -1;
    }
  close (directory_fd);
  return fd;
}
