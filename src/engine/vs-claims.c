/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files that domains use which run or are being worked on, by device and inode. QEMU's own locks are the second wall behind this one; this
 * one names the culprit. Main thread only.
 */
#include "vs-claims.h"

#include "vmsnap-error.h"

typedef struct
{
  char *uuid;
  char *name;
  char *id;
  gboolean writes;
  gboolean shareable;
  gboolean is_image; /* a saved one, not a disk */
  gboolean is_beside; /* of the guest that is to take over from the domain's present one */
} Claim;

struct _VsClaims
{
  GPtrArray *claims;
};

static void
claim_free (Claim *claim)
{
  g_free (claim->uuid);
  g_free (claim->name);
  g_free (claim->id);
  g_free (claim);
}

VsClaims *
vs_claims_new (void)
{
  VsClaims *self = g_new0 (VsClaims, 1);

  self->claims = g_ptr_array_new_with_free_func ((GDestroyNotify) claim_free);
  return self;
}

void
vs_claims_free (VsClaims *self)
{
  g_ptr_array_unref (self->claims);
  g_free (self);
}

static gboolean
conflicts (const Claim *a, const Claim *b)
{
  return g_str_equal (a->id, b->id) && (a->writes || b->writes) && !(a->shareable && b->shareable);
}

static void
set_conflict (const Claim *held, const Claim *wanted, const char *path, GError **error)
{
  if (held->is_image)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                 "%s is a saved image that %s is being saved into or restored from; wait for that job's end, or choose "
                 "another file",
                 path, held->name);
  else if (wanted->is_image)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "%s is a disk of %s, which uses it: choose another file", path, held->name);
  else if (g_str_equal (held->uuid, wanted->uuid))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "%s is used by two disks of %s; give each disk a file of its own", path, wanted->name);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                 "%s is in use by the domain %s; shut that one down first, or, if both may write to it, mark the "
                 "disk <shareable/> in both",
                 path, held->name);
}

/* A domain's new claims for its disks take the place of its old ones. */
static gboolean
is_replaced (const Claim *held, const Claim *wanted)
{
  return !held->is_image && !wanted->is_image && held->is_beside == wanted->is_beside
         && g_str_equal (held->uuid, wanted->uuid);
}

/* By their files, for a chain may be long: from a file's id to an array of claims, which are the caller's. */
static void
index_claim (GHashTable *by_file, Claim *claim)
{
  GPtrArray *same = g_hash_table_lookup (by_file, claim->id);

  if (same == NULL)
    g_hash_table_insert (by_file, claim->id, same = g_ptr_array_new ());
  g_ptr_array_add (same, claim);
}

static GHashTable *
index_held (VsClaims *self)
{
  GHashTable *by_file = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);

  for (guint i = 0; i < self->claims->len; i++)
    index_claim (by_file, g_ptr_array_index (self->claims, i));
  return by_file;
}

static gboolean
check (GHashTable *held_by_file, GHashTable *own_by_file, const Claim *wanted, const char *path, GError **error)
{
  GPtrArray *held = g_hash_table_lookup (held_by_file, wanted->id);
  GPtrArray *own = own_by_file != NULL ? g_hash_table_lookup (own_by_file, wanted->id) : NULL;
  const guint n_held = held != NULL ? held->len : 0;
  const guint n_own = own != NULL ? own->len : 0;

  for (guint i = 0; i < n_held + n_own; i++)
    {
      const Claim *other = i < n_held ? g_ptr_array_index (held, i) : g_ptr_array_index (own, i - n_held);

      if ((i < n_held && is_replaced (other, wanted)) || !conflicts (other, wanted))
        continue;
      set_conflict (other, wanted, path, error);
      return FALSE;
    }
  return TRUE;
}

static void
remove_claims (VsClaims *self, const char *uuid, gboolean images, gboolean beside)
{
  for (guint i = self->claims->len; i-- > 0;)
    {
      Claim *claim = g_ptr_array_index (self->claims, i);

      if (claim->is_image == images && claim->is_beside == beside && g_str_equal (claim->uuid, uuid))
        g_ptr_array_remove_index_fast (self->claims, i);
    }
}

static gboolean
add (VsClaims *self, VsDomainDef *def, GPtrArray *chains, gboolean beside, GError **error)
{
  g_autoptr (GPtrArray) own = g_ptr_array_new_with_free_func ((GDestroyNotify) claim_free);
  g_autoptr (GHashTable) held_by_file = index_held (self);
  g_autoptr (GHashTable) own_by_file =
    g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);

  for (guint i = 0; i < chains->len; i++)
    {
      VsDiskChain *chain = g_ptr_array_index (chains, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def, chain->target);

      for (guint j = 0; j < chain->files->len; j++)
        {
          VsDiskFile *file = g_ptr_array_index (chain->files, j);
          Claim *claim = g_new0 (Claim, 1);

          claim->uuid = g_strdup (def->uuid);
          claim->name = g_strdup (def->name);
          claim->id = g_strdup (file->id);
          claim->writes = j == 0 && (disk == NULL || !disk->readonly);
          claim->shareable = disk != NULL && disk->shareable;
          claim->is_beside = beside;
          if (!check (held_by_file, own_by_file, claim, file->path, error))
            {
              claim_free (claim);
              return FALSE;
            }
          g_ptr_array_add (own, claim);
          index_claim (own_by_file, claim);
        }
    }
  remove_claims (self, def->uuid, FALSE, beside);
  g_ptr_array_extend_and_steal (self->claims, g_steal_pointer (&own));
  return TRUE;
}

/**
 * vs_claims_add:
 * @self: the claims
 * @def: the definition of the domain that is about to run, or whose disks are about to be changed
 * @chains: (element-type VsDiskChain): its disks' files
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT when it would use a file twice itself
 *
 * Claims all or nothing. What the same domain had claimed before is replaced, unless this fails.
 *
 * Returns: whether all files are its own now
 */
gboolean
vs_claims_add (VsClaims *self, VsDomainDef *def, GPtrArray *chains, GError **error)
{
  return add (self, def, chains, FALSE, error);
}

/**
 * vs_claims_add_beside:
 * @self: the claims
 * @def: the definition of the guest that is to take over from the domain's present one
 * @chains: (element-type VsDiskChain): its disks' files
 * @error: as vs_claims_add()
 *
 * As vs_claims_add(), but what the present guest has claimed stays claimed: neither may write what the other one uses.
 * Until vs_claims_settle_beside().
 *
 * Returns: whether all files are that guest's, too
 */
gboolean
vs_claims_add_beside (VsClaims *self, VsDomainDef *def, GPtrArray *chains, GError **error)
{
  return add (self, def, chains, TRUE, error);
}

/**
 * vs_claims_settle_beside:
 * @self: the claims
 * @uuid: a domain's uuid
 * @taken_over: whether the new guest has taken over, and the old one is gone; else the new one is gone
 *
 * Only one of two guests is left. Does nothing when there weren't two.
 */
void
vs_claims_settle_beside (VsClaims *self, const char *uuid, gboolean taken_over)
{
  gboolean found = FALSE;

  for (guint i = 0; i < self->claims->len; i++)
    {
      const Claim *claim = g_ptr_array_index (self->claims, i);

      found = found || (claim->is_beside && g_str_equal (claim->uuid, uuid));
    }
  if (!found)
    return;
  remove_claims (self, uuid, FALSE, !taken_over);
  for (guint i = 0; i < self->claims->len; i++)
    {
      Claim *claim = g_ptr_array_index (self->claims, i);

      if (g_str_equal (claim->uuid, uuid))
        claim->is_beside = FALSE;
    }
}

/**
 * vs_claims_remove:
 * @self: the claims
 * @uuid: a domain's uuid
 *
 * That domain's guest runs no more, and nothing is done to it. What a guest beside it has claimed stays so.
 */
void
vs_claims_remove (VsClaims *self, const char *uuid)
{
  remove_claims (self, uuid, FALSE, FALSE);
}

/**
 * vs_claims_add_image:
 * @self: the claims
 * @def: the definition of the domain that is about to be saved or restored
 * @id: the image's file, see vs_disk_file_id()
 * @writes: whether it is saved
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT when it is a disk that is in use
 *
 * Returns: whether the file is the operation's
 */
gboolean
vs_claims_add_image (VsClaims *self, VsDomainDef *def, const char *id, gboolean writes, GError **error)
{
  g_autoptr (GHashTable) held_by_file = index_held (self);
  Claim *claim = g_new0 (Claim, 1);

  claim->uuid = g_strdup (def->uuid);
  claim->name = g_strdup (def->name);
  claim->id = g_strdup (id);
  claim->writes = writes;
  claim->is_image = TRUE;
  if (!check (held_by_file, NULL, claim, "The image's file", error))
    {
      claim_free (claim);
      return FALSE;
    }
  g_ptr_array_add (self->claims, claim);
  return TRUE;
}

/**
 * vs_claims_remove_image:
 * @self: the claims
 * @uuid: a domain's uuid
 *
 * That domain is saved and restored no more.
 */
void
vs_claims_remove_image (VsClaims *self, const char *uuid)
{
  remove_claims (self, uuid, TRUE, FALSE);
}
