/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A scripted monitor for tests: a thread at the other end of a socket pair that says and expects what a script tells
 * it. It reads as QEMU does, byte by byte, so that it knows with which byte a descriptor came.
 */
#include "qmp-peer.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static gpointer
run (gpointer data)
{
  Peer *peer = data;

  peer->script (peer, peer->data);
  if (peer->fd >= 0)
    close (peer->fd);
  peer->fd = -1;
  return NULL;
}

/* @fd: (transfer full) */
Peer *
peer_new_for_fd (int fd, PeerScript script, gpointer data)
{
  Peer *peer = g_new0 (Peer, 1);

  peer->fd = fd;
  peer->client_fd = -1;
  peer->got_fd = -1;
  peer->script = script;
  peer->data = data;
  peer->thread = g_thread_new ("peer", run, peer);
  return peer;
}

Peer *
peer_new (PeerScript script, gpointer data)
{
  Peer *peer;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  peer = peer_new_for_fd (fds[0], script, data);
  peer->client_fd = fds[1];
  return peer;
}

QmpClient *
peer_connect (Peer *peer, GError **error)
{
  int fd = peer->client_fd;

  peer->client_fd = -1;
  return qmp_client_new_for_fd (fd, "the peer", PATIENCE, NULL, error);
}

/* Waits for the script's end. */
void
peer_free (Peer *peer)
{
  if (peer->client_fd >= 0)
    close (peer->client_fd);
  g_thread_join (peer->thread);
  if (peer->got_fd >= 0)
    close (peer->got_fd);
  g_free (peer);
}

static void
send_all (Peer *peer, const char *text, gsize len)
{
  while (len > 0)
    {
      gssize n = send (peer->fd, text, len, MSG_NOSIGNAL);

      if (n < 0)
        return; /* the client has closed: the script will see it when it reads */
      text += n;
      len -= n;
    }
}

void
peer_send (Peer *peer, const char *text)
{
  send_all (peer, text, strlen (text));
}

/* Sends the first bytes, waits until the other side has taken them, and sends the rest. */
void
peer_send_split (Peer *peer, const char *text, gsize cut)
{
  int left = 1;

  cut = MIN (cut, strlen (text));
  send_all (peer, text, cut);
  while (ioctl (peer->fd, SIOCOUTQ, &left) == 0 && left > 0)
    g_thread_yield ();
  peer_send (peer, text + cut);
}

/* Returns: 1: a byte; 0: the end */
static gssize
read_byte (Peer *peer, char *byte, gboolean is_first)
{
  struct iovec iov = { byte, 1 };
  union
  {
    char bytes[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control;
  struct msghdr message
    = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
  gssize n = recvmsg (peer->fd, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR (&message) : NULL;

  if (header != NULL)
    {
      g_assert_cmpint (header->cmsg_type, ==, SCM_RIGHTS);
      g_assert_cmpuint (header->cmsg_len, ==, CMSG_LEN (sizeof (int)));
      g_assert_true (is_first);
      memcpy (&peer->got_fd, CMSG_DATA (header), sizeof (int));
    }
  return MAX (n, 0);
}

/* Returns: (transfer full) (nullable): the next command, NULL at the end */
JsonObject *
peer_read (Peer *peer)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (JsonNode) node = NULL;
  char byte = 0;

  if (peer->got_fd >= 0)
    close (peer->got_fd);
  peer->got_fd = -1;
  while (byte != '\n')
    {
      if (read_byte (peer, &byte, line->len == 0) == 0)
        return NULL;
      g_string_append_c (line, byte);
    }
  node = json_from_string (line->str, NULL);
  g_assert_nonnull (node);
  return json_node_dup_object (node);
}

/* Returns: the id of the next command, which must be @command */
gint64
peer_expect (Peer *peer, const char *command)
{
  g_autoptr (JsonObject) message = peer_read (peer);

  g_assert_nonnull (message);
  g_assert_cmpstr (json_object_get_string_member (message, "execute"), ==, command);
  return json_object_get_int_member (message, "id");
}

void
peer_greet (Peer *peer)
{
  peer_send (peer, PEER_GREETING);
  peer_reply (peer, peer_expect (peer, "qmp_capabilities"), "{}");
}

void
peer_reply (Peer *peer, gint64 id, const char *value)
{
  g_autofree char *text = g_strdup_printf ("{\"return\": %s, \"id\": %" G_GINT64_FORMAT "}\r\n", value, id);

  peer_send (peer, text);
}

void
peer_expect_end (Peer *peer)
{
  g_assert_null (peer_read (peer));
}
