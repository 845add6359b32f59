/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/**
 * BUS_DEFINE_VTABLE:
 * @name: prefix of the functions
 *
 * Sends an interface's method calls to `<name>_call()` rather than to the generated signals, so that all of them go one
 * way; properties stay with the generated code. For a subclass of a generated skeleton, after its `G_DEFINE_TYPE`.
 */
#define BUS_DEFINE_VTABLE(name)                                                                                        \
  static GDBusInterfaceVTable *name##_get_vtable (GDBusInterfaceSkeleton *skeleton)                                    \
  {                                                                                                                    \
    static GDBusInterfaceVTable vtable;                                                                                \
                                                                                                                       \
    if (vtable.method_call == NULL)                                                                                    \
      {                                                                                                                \
        vtable = *G_DBUS_INTERFACE_SKELETON_CLASS (name##_parent_class)->get_vtable (skeleton);                        \
        vtable.method_call = name##_call;                                                                              \
      }                                                                                                                \
    return &vtable;                                                                                                    \
  }
