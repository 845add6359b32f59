/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * QMP_PARSER_MAX_LINE:
 *
 * The longest line that a monitor may send, in bytes. (The reply to query-qmp-schema has some 200 KiB.)
 */
#define QMP_PARSER_MAX_LINE (16 * 1024 * 1024)

/**
 * QMP_PARSER_MAX_DEPTH:
 *
 * How deep the objects and arrays of a message may be nested.
 */
#define QMP_PARSER_MAX_DEPTH 64

/**
 * QmpParser:
 *
 * Makes messages of a stream of bytes, whatever the pieces in which it comes. Pure; used by one thread at a time.
 */
typedef struct _QmpParser QmpParser;

QmpParser *qmp_parser_new (gsize max_line,
                           guint max_depth);
gboolean qmp_parser_feed (QmpParser *parser,
                          const char *data,
                          gsize len,
                          GError **error);
JsonObject *qmp_parser_pop (QmpParser *parser);
void qmp_parser_free (QmpParser *parser);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpParser, qmp_parser_free)

G_END_DECLS
