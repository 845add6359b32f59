/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"

G_BEGIN_DECLS

/* How long a test waits for what must come; only a broken program makes a test wait so long. */
#define PATIENCE (30 * G_USEC_PER_SEC)

#define PEER_GREETING                                                                                                  \
  "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 2, \"major\": 1}, \"package\": \"\"}, "                \
  "\"capabilities\": [\"oob\"]}}\r\n"

typedef struct _Peer Peer;
typedef void (*PeerScript) (Peer *peer,
                            gpointer data);

/* The other end of a monitor: a thread that runs a script. Closes its socket after the script. */
struct _Peer
{
  int fd;        /* the peer's end; the script may close it and set -1 */
  int client_fd; /* the client's end, until somebody takes it */
  int got_fd;    /* what came with the last command, or -1 */
  PeerScript script;
  gpointer data;
  GThread *thread;
};

Peer *peer_new (PeerScript script,
                gpointer data);
Peer *peer_new_for_fd (int fd,
                       PeerScript script,
                       gpointer data);
QmpClient *peer_connect (Peer *peer,
                         GError **error);
void peer_free (Peer *peer);

void peer_send (Peer *peer,
                const char *text);
void peer_send_split (Peer *peer,
                      const char *text,
                      gsize cut);
JsonObject *peer_read (Peer *peer);
gint64 peer_expect (Peer *peer,
                    const char *command);
void peer_greet (Peer *peer);
void peer_reply (Peer *peer,
                 gint64 id,
                 const char *value);
void peer_expect_end (Peer *peer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Peer, peer_free)

G_END_DECLS
