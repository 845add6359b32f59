/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-delete-plan.h"

G_BEGIN_DECLS

/* The plan's own: what its two halves, the files that go and the merges, share. */

typedef struct {
  VsDeleteHoldKind kind;
  char *owner;
  char *target;
} VsDeleteHold;

struct _VsDeletePlan
{
  GPtrArray *files;    /* VsDeleteFile */
  GHashTable *by_path; /* path → file */
  GHashTable *victims; /* names */
  gboolean has_managed_save;
};

VsDeleteFile *vs_delete_plan_get_backing (VsDeletePlan *self,
                                          const VsDeleteFile *file);
void vs_delete_plan_link (VsDeletePlan *self);
void vs_delete_plan_take_away (VsDeletePlan *self,
                               VsDeleteFile *file);
gboolean vs_delete_plan_is_above (VsDeletePlan *self,
                                  const VsDeleteFile *file,
                                  const char *target);
gboolean vs_delete_plan_has_tags (const VsDeleteFile *file);
void vs_delete_plan_merge (VsDeletePlan *self,
                           JsonArray *merges);

G_END_DECLS
