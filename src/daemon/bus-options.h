/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * BusOption:
 * @key: the key on the bus
 * @type: the D-Bus signature of its value
 * @offset: where its value goes in the method's struct: a `gboolean` for `b`, a `char *` for `s` and `o`, a `GVariant
 *   *` for all others
 * @inverted: for `b`: the field says the opposite of the key, for keys whose default is true
 * @excludes: (nullable) (array zero-terminated=1): keys that can't be given together with this one; a `b` that is false
 *   counts as not given
 * @needs: (nullable): a key without which this one means nothing
 *
 * One key of a method's options.
 */
typedef struct {
  const char *key;
  const char *type;
  gsize offset;
  gboolean inverted;
  const char *const *excludes;
  const char *needs;
} BusOption;

/**
 * BusOptionTable:
 * @size: size of the method's struct
 * @options: its keys; the last one has %NULL for a key
 *
 * What a method's options may hold, and the struct that they become.
 */
typedef struct {
  gsize size;
  const BusOption *options;
} BusOptionTable;

/* clang-format off */
#define BUS_OPTION_EXCLUDES(...) .excludes = (const char *const[]){ __VA_ARGS__, NULL }
#define BUS_OPTION_NEEDS(other) .needs = other
#define BUS_OPTION_FLAG(Struct, field, name, ...) \
  { .key = name, .type = "b", .offset = G_STRUCT_OFFSET (Struct, field), __VA_ARGS__ }
#define BUS_OPTION_VALUE(Struct, field, name, signature, ...) \
  { .key = name, .type = signature, .offset = G_STRUCT_OFFSET (Struct, field), __VA_ARGS__ }
#define BUS_OPTION_QUEUE(Struct) \
  { .key = "queue", .type = "b", .offset = G_STRUCT_OFFSET (Struct, no_queue), .inverted = TRUE }
#define BUS_OPTION_END { .key = NULL }
/* clang-format on */

extern const BusOptionTable bus_options_none;

gpointer bus_options_parse (const BusOptionTable *table,
                            GVariant *options,
                            GError **error);
void bus_options_free (const BusOptionTable *table,
                       gpointer parsed);

G_END_DECLS
