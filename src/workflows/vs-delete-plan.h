/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * VsDeleteHoldKind:
 * @VS_DELETE_HOLD_ACTIVE: a disk of the domain
 * @VS_DELETE_HOLD_FROZEN: an external snapshot of the domain
 * @VS_DELETE_HOLD_TAG: an internal snapshot of the domain, in the file
 * @VS_DELETE_HOLD_FORGOTTEN: it was a snapshot's that was forgotten while its data were to stay
 * @VS_DELETE_HOLD_FOREIGN: another domain, or a read-only disk: nothing below it is merged
 *
 * Why a file is needed.
 */
typedef enum {
  VS_DELETE_HOLD_ACTIVE,
  VS_DELETE_HOLD_FROZEN,
  VS_DELETE_HOLD_TAG,
  VS_DELETE_HOLD_FORGOTTEN,
  VS_DELETE_HOLD_FOREIGN,
} VsDeleteHoldKind;

/**
 * VsDeleteFile:
 * @path: absolute, as the definitions name it
 * @format: `raw` or `qcow2`
 * @backing: (nullable): the file below it
 * @size: bytes it takes
 * @virtual_size: bytes the guest sees
 * @n_tags: internal snapshots in it, on record or not
 * @is_ours: this service made it, and may remove it
 * @is_block: it is a device
 * @is_left: no snapshot has named it since an earlier deletion
 * @is_read_only: the service may not write to it
 * @problem: (nullable): what is wrong with it, in words
 *
 * One file, as a deletion looks at it. Whoever makes one with vs_delete_plan_add_file() fills in the fields; the rest is
 * the plan's own.
 */
typedef struct _VsDeleteFile VsDeleteFile;
struct _VsDeleteFile
{
  char *path;
  char *format;
  char *backing;
  guint64 size;
  guint64 virtual_size;
  guint n_tags;
  gboolean is_ours;
  gboolean is_block;
  gboolean is_left;
  gboolean is_read_only;
  char *problem;

  /*< private >*/
  GPtrArray *holds;
  GPtrArray *dependents;
  char *victim;
  char *victim_target;
  guint tags_going;
  gboolean is_candidate;
  gboolean is_gone;
  char *why;
};

/**
 * VsDeletePlan:
 *
 * What becomes of which file when snapshots go: thought out on what is known of the files, without touching any. Any
 * thread, one at a time.
 */
typedef struct _VsDeletePlan VsDeletePlan;

VsDeletePlan *vs_delete_plan_new (void);
void vs_delete_plan_free (VsDeletePlan *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDeletePlan, vs_delete_plan_free)

VsDeleteFile *vs_delete_plan_add_file (VsDeletePlan *self,
                                       const char *path,
                                       const char *format,
                                       const char *backing);
void vs_delete_plan_add_hold (VsDeletePlan *self,
                              VsDeleteFile *file,
                              VsDeleteHoldKind kind,
                              const char *owner,
                              const char *target);
void vs_delete_plan_add_victim (VsDeletePlan *self,
                                const char *snapshot);
void vs_delete_plan_set_managed_save (VsDeletePlan *self,
                                      gboolean has_managed_save);

/* What vs_delete_plan_make() returns: arrays of objects */
#define VS_DELETE_LEAVES "leaves" /* {path}: of ours, that nothing needs: removed before anything is merged */
#define VS_DELETE_MERGES "merges" /* in order; those that aren't late before the records go */
#define VS_DELETE_LEFT "left"     /* {path, ours, why}: what stays without a name */
#define VS_DELETE_FORGET "forget" /* {path}: no longer of interest, and not ours */
#define VS_DELETE_MARK "mark"     /* {path, ours}: was a victim's: noted as left before its record goes */

JsonObject *vs_delete_plan_make (VsDeletePlan *self,
                                 GError **error);

G_END_DECLS
