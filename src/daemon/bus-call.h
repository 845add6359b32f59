/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "bus-auth.h"
#include "bus-options.h"
#include "vs-engine.h"

G_BEGIN_DECLS

typedef struct _BusCall BusCall;
typedef struct _BusService BusService;

/**
 * BusMethod:
 * @name: its name on the bus
 * @options: what its options may hold
 * @prepare: (nullable): before authorization: checks the arguments, and tells polkit more of what the call is about
 *   (with @parse: as soon as there is something parsed)
 * @run: (transfer full): does it, and ends the call with one of bus_call_return(), bus_call_return_fd(),
 *   bus_call_return_job() and bus_call_fail(), now or later
 * @parse: (nullable): on a worker thread: makes @parsed of the caller's text. It may use the call's arguments and options,
 *   nothing else
 * @opens_file: whether @parse reads a file of the caller's, too: a file system of theirs may never answer
 *
 * One method of an interface.
 */
typedef struct {
  const char *name;
  const BusOptionTable *options;
  gboolean (*prepare) (BusCall *call,
                       GError **error);
  void (*run) (BusCall *call);
  gboolean (*parse) (BusCall *call,
                     GError **error);
  gboolean opens_file;
} BusMethod;

/**
 * BusAddress:
 * @domain_uuid: (nullable): the domain whose object, or whose snapshot's object, is called
 * @snapshot_name: (nullable): the snapshot
 * @job_number: the job; 0: none
 *
 * Which object a call came to. The thing itself may come and go while the call is on its way.
 */
typedef struct {
  const char *domain_uuid;
  const char *snapshot_name;
  guint job_number;
} BusAddress;

/**
 * BusCall:
 * @invocation: the call
 * @service: the service
 * @engine: the engine
 * @options: the method's struct, from its @options table
 * @parsed: (nullable): what the method's parse function made
 * @parsed_free: (nullable): how to free @parsed
 * @about: what polkit is told
 * @caller_uid: whose call it is; known in @run
 * @domain: (nullable): the domain by the object's address
 * @snapshot: (nullable): the snapshot by the object's address
 * @job: (nullable): the job by the object's address
 *
 * One method call on its way through the service: options, arguments, authorization, and then, with the objects looked
 * up again, the method itself.
 */
struct _BusCall
{
  GDBusMethodInvocation *invocation;
  BusService *service;
  VsEngine *engine;
  gpointer options;
  gpointer parsed;
  GDestroyNotify parsed_free;
  BusAuthTarget about;
  guint caller_uid;
  VsDomain *domain;
  VsSnapshot *snapshot;
  VsJob *job;

  /*< private >*/
  const BusMethod *method;
  char *domain_uuid;
  char *snapshot_name;
  guint job_number;
};

void bus_call_dispatch (BusService *service,
                        GDBusMethodInvocation *invocation,
                        const BusMethod *methods,
                        const BusAddress *address);

const char *bus_call_get_string (BusCall *call,
                                 guint index);
int bus_call_get_fd (BusCall *call,
                     guint index,
                     GError **error);
VsRequest bus_call_get_request (BusCall *call,
                                gboolean no_queue);
gboolean bus_call_check_queue (BusCall *call,
                               gboolean no_queue,
                               GError **error);

gboolean bus_call_check_name (BusCall *call);

void bus_call_return (BusCall *call,
                      GVariant *value);
void bus_call_return_fd (BusCall *call,
                         int fd);
void bus_call_return_job (BusCall *call,
                          VsJob *job,
                          GError *error);
void bus_call_fail (BusCall *call,
                    GError *error);
void bus_call_not_supported (BusCall *call,
                             const char *what);

G_END_DECLS
