/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "qmp-client.h"
#include "vs-device-defs.h"
#include "vs-process.h"

G_BEGIN_DECLS

#define VS_TYPE_GUEST (vs_guest_get_type ())
G_DECLARE_FINAL_TYPE (VsGuest, vs_guest, VS, GUEST, GObject)

/**
 * VS_GUEST_MONITOR_FD:
 *
 * The number under which QEMU inherits its end of the connection to the monitor of whoever starts it. It is connected
 * already: two threads of QEMU look at a listening socket while it starts, and a client that comes then may get two
 * greetings, or leave one thread, and with it the guest, waiting for another client for ever (seen on 7.2 and 10.0).
 */
#define VS_GUEST_MONITOR_FD 3

/**
 * VS_GUEST_LISTENER_FD:
 *
 * The number under which QEMU inherits the listening socket of a second monitor, where the guest is found again by a
 * later life of the service.
 */
#define VS_GUEST_LISTENER_FD 4

/**
 * VS_GUEST_FIRST_FREE_FD:
 *
 * The first number for other descriptors that cross into QEMU.
 */
#define VS_GUEST_FIRST_FREE_FD 5

/* File names in a guest's directory, which is QEMU's working directory: so that its command line names sockets by these
 * alone, and the limit of 107 bytes for a socket's path is out of the way. */
#define VS_GUEST_MONITOR_SOCKET "monitor.sock"
#define VS_GUEST_AGENT_SOCKET "agent.sock"
#define VS_GUEST_TPM_SOCKET "tpm.sock"
#define VS_GUEST_PIDFILE "pid"
#define VS_GUEST_RECORD "guest.json"
#define VS_GUEST_DEFINITION "live.xml"

/**
 * VsGuestSpec:
 * @runtime_directory: the service's runtime directory
 * @log_directory: where `<uuid>.log` is
 * @uuid: the domain's uuid
 * @name: the domain's name, for messages
 * @argv: (array zero-terminated=1): from vs_command_line_build()
 * @environment: (array zero-terminated=1) (nullable): `NAME=VALUE`, besides our own environment
 * @fds: (array length=n_fds) (nullable): descriptors that cross besides the monitor's, from
 *   %VS_GUEST_FIRST_FREE_FD on
 * @n_fds: how many
 * @timeout: microseconds that QEMU may take until its monitor answers; 0: 30 seconds
 *
 * What vs_guest_spawn() needs to know.
 */
typedef struct {
  const char *runtime_directory;
  const char *log_directory;
  const char *uuid;
  const char *name;
  const char *const *argv;
  const char *const *environment;
  const VsProcessFd *fds;
  gsize n_fds;
  gint64 timeout;
} VsGuestSpec;

char *vs_guest_directory (const char *runtime_directory,
                          const char *uuid);
char *vs_guest_prepare_directory (const char *runtime_directory,
                                  const char *uuid,
                                  GError **error);

VsGuest *vs_guest_spawn (const VsGuestSpec *spec,
                         GCancellable *cancellable,
                         GError **error);
VsGuest *vs_guest_find (const char *runtime_directory,
                        const char *log_directory,
                        const char *uuid,
                        const char *name,
                        GCancellable *cancellable,
                        GError **error);
VsGuest *vs_guest_find_deaf (const char *runtime_directory,
                             const char *log_directory,
                             const char *uuid,
                             const char *name,
                             GError **error);
gboolean vs_guest_connect (VsGuest *guest,
                           gint64 timeout,
                           GCancellable *cancellable,
                           GError **error);
void vs_guest_reconnect_async (VsGuest *guest,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
gboolean vs_guest_reconnect_finish (VsGuest *guest,
                                    GAsyncResult *result,
                                    GError **error);
gboolean vs_guest_record (VsGuest *guest,
                          GError **error);

int vs_guest_connect_agent (VsGuest *guest,
                            const VsChardevDef *channel,
                            GError **error);
QmpClient *vs_guest_get_client (VsGuest *guest);
VsProcess *vs_guest_get_process (VsGuest *guest);
const char *vs_guest_get_uuid (VsGuest *guest);
const char *vs_guest_get_directory (VsGuest *guest);
gboolean vs_guest_move (VsGuest *guest,
                        const char *directory,
                        VsGuest *other,
                        GError **error);
gboolean vs_guest_has_exited (VsGuest *guest);
char *vs_guest_describe_end (VsGuest *guest);

gboolean vs_guest_end (VsGuest *guest,
                       VsProcessEnd how,
                       gint64 timeout,
                       GCancellable *cancellable,
                       GError **error);
void vs_guest_cleanup (VsGuest *guest);
void vs_guest_remove_directory (const char *runtime_directory,
                                const char *uuid);

G_END_DECLS
