/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-store.h"

G_BEGIN_DECLS

/* The store's own: what its two halves, writing and removing, share. */

#define VS_STORE_DOMAINS "domains"

struct _VsStore
{
  GObject parent;

  char *state_dir;
  char *runtime_dir;
  char *log_dir;
};

gboolean vs_store_sync_dir (const char *path);

G_END_DECLS
