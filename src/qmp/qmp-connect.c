/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a path to a connected socket. A UNIX socket connects at once or not at all, so this happens in the I/O thread;
 * for a QEMU that was just started it is tried again every few milliseconds.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp-connection.h"
#include "qmp-io.h"
#include "vmsnap-error.h"

#define RETRY_MS 5

typedef struct
{
  QmpConnection *connection;
  char *path;
  QmpConnectFlags flags;
} Attempt;

static void
attempt_free (Attempt *attempt)
{
  qmp_connection_unref (attempt->connection);
  g_free (attempt->path);
  g_free (attempt);
}

/* Returns: a connected socket, or minus the errno */
static int
connect_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;

  if (strlen (path) >= sizeof address.sun_path)
    return -ENAMETOOLONG;
  strcpy (address.sun_path, path);
  if ((fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
    return -errno;
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    {
      int code = errno;

      close (fd);
      return -code;
    }
  return fd;
}

/* EAGAIN: the queue of connections that nobody has accepted is full. */
static gboolean
is_worth_a_retry (int code, QmpConnectFlags flags)
{
  if ((flags & QMP_CONNECT_WAIT_FOR_SOCKET) != 0 && (code == ENOENT || code == ECONNREFUSED))
    return TRUE;
  return code == EAGAIN || code == EINTR;
}

static GError *
error_for (QmpConnection *connection, int code)
{
  const char *why = g_strerror (code);

  switch (code)
    {
    case ENOENT:
    case ECONNREFUSED:
      return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE, "Nobody listens on %s: %s", connection->name,
                          why);
    case ENAMETOOLONG:
      return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                          "Cannot connect to %s: the path of a socket may have %zu bytes at most", connection->name,
                          sizeof ((struct sockaddr_un *) NULL)->sun_path - 1);
    default:
      return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_IO, "Cannot connect to %s: %s", connection->name, why);
    }
}

/* Returns: whether to try again */
static gboolean
try (gpointer data)
{
  Attempt *attempt = data;
  int fd;

  if (qmp_connection_is_closed (attempt->connection))
    return G_SOURCE_REMOVE;
  fd = connect_socket (attempt->path);
  if (fd >= 0)
    qmp_connection_start (attempt->connection, fd);
  else if (is_worth_a_retry (-fd, attempt->flags))
    return G_SOURCE_CONTINUE;
  else
    qmp_connection_fail (attempt->connection, error_for (attempt->connection, -fd));
  return G_SOURCE_REMOVE;
}

static gboolean
try_first (gpointer data)
{
  Attempt *attempt = data;
  g_autoptr (GSource) timer = NULL;

  if (try (attempt) == G_SOURCE_REMOVE)
    {
      attempt_free (attempt);
      return G_SOURCE_REMOVE;
    }
  timer = g_timeout_source_new (RETRY_MS);
  g_source_set_callback (timer, try, attempt, (GDestroyNotify) attempt_free);
  g_source_attach (timer, qmp_io_get_context ());
  return G_SOURCE_REMOVE;
}

/* Connects, and starts the connection or fails it. Whoever waits for the greeting ends the attempts by failing it. */
void
qmp_connection_open_socket (QmpConnection *self, const char *path, QmpConnectFlags flags)
{
  Attempt *attempt = g_new0 (Attempt, 1);

  attempt->connection = qmp_connection_ref (self);
  attempt->path = g_strdup (path);
  attempt->flags = flags;
  qmp_io_invoke (try_first, attempt, NULL);
}
