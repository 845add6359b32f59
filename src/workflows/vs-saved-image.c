/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A saved image that somebody handed in, as far as its beginning tells. Opening and rewriting wait for the disk, and read
 * a stranger's XML: worker threads.
 */
#include "vs-saved-image.h"

#include <errno.h>
#include <sys/stat.h>

#include "vmsnap-error.h"
#include "vs-image-file.h"
#include "vs-save-workflows.h"
#include "vs-save-xml.h"

/* `q35` and `pc` are always the newest of their family, and so is what isn't said. */
static gboolean
is_newest_of (const char *machine, const char *versioned)
{
  return machine == NULL || (g_str_equal (machine, "q35") && g_str_has_prefix (versioned, "pc-q35-"))
         || (g_str_equal (machine, "pc") && g_str_has_prefix (versioned, "pc-i440fx-"));
}

/**
 * vs_save_check_same_guest:
 * @saved: the definition that the guest's memory belongs to
 * @wanted: what somebody wants instead
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: (transfer full) (nullable): @wanted, if the guest can't notice the difference; with the version of @saved
 * where it names a machine without one, and with the uuid and MAC addresses of @saved where it names none
 */
VsDomainDef *
vs_save_check_same_guest (VsDomainDef *saved, VsDomainDef *wanted, GError **error)
{
  g_autoptr (VsDomainDef) named = vs_domain_def_copy_with_made_of (wanted, saved, error);
  g_autoptr (VsDomainDef) versioned = NULL;
  g_autofree char *difference = NULL;

  if (named == NULL)
    return NULL;
  if (saved->os.machine != NULL && is_newest_of (named->os.machine, saved->os.machine))
    versioned = vs_domain_def_copy_with_machine (named, saved->os.machine, error);
  else
    versioned = vs_domain_def_ref (named);
  if (versioned == NULL)
    return NULL;
  if (!g_str_equal (saved->uuid, versioned->uuid))
    difference = g_strdup_printf ("uuid: %s, now %s", saved->uuid, versioned->uuid);
  else if (vs_domain_def_guest_abi_equal (saved, versioned, &difference))
    return g_steal_pointer (&versioned);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "The definition given isn't the saved guest's (%s); change only what the guest can't notice, such as the "
               "paths of its disks",
               difference);
  return NULL;
}

static void
read_texts (VsSavedImage *self)
{
  g_autoptr (GError) local = NULL;

  self->def_flags = vs_save_cookie_is_ours (self->header->cookie) ? VS_DOMAIN_DEF_NONE : VS_DOMAIN_DEF_FOREIGN_IMAGE;
  if (!vs_save_definition_read_names (self->header->xml, &self->name, &self->uuid))
    {
      self->def = vs_save_definition_parse (self->header->xml, self->def_flags, &self->def_error);
      if (self->def_error == NULL)
        g_set_error (&self->def_error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT,
                     "The definition in the saved image has no name, or no uuid");
      g_clear_pointer (&self->def, vs_domain_def_unref);
      self->def_error->code = VMSNAP_ERROR_IMAGE_CORRUPT;
      return;
    }
  self->def = vs_save_definition_parse (self->header->xml, self->def_flags, &self->def_error);
  if (self->def == NULL)
    return;
  if (vs_save_cookie_parse (self->header->cookie, &self->persistent, &self->inactive_def, &local)
      && (self->inactive_def == NULL || g_str_equal (self->inactive_def->uuid, self->def->uuid)))
    return;
  /* Who can run the guest must know what becomes of the domain. */
  g_clear_pointer (&self->def, vs_domain_def_unref);
  g_set_error (&self->def_error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "%s",
               local != NULL ? local->message : "The image holds the definitions of two domains");
}

/* The header, and how long the file is. */
static gboolean
read_header (VsSavedImage *self, GError **error)
{
  g_autoptr (VsImageFile) file = vs_image_file_borrow (vs_saved_image_get_fd (self), VS_IMAGE_ACCESS_READ, error);

  if (file == NULL)
    return FALSE;
  self->size = file->size;
  self->header = vs_image_header_read (file->fd, error);
  return self->header != NULL;
}

/**
 * vs_saved_image_open:
 * @fd: a descriptor of a regular file or a block device, readable; it is duplicated
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_IMAGE_INCOMPLETE, %VMSNAP_ERROR_NOT_SUPPORTED,
 *   %VMSNAP_ERROR_INVALID_ARGUMENT: this descriptor won't do; %VMSNAP_ERROR_IO
 *
 * Reads the beginning of an image. One that isn't complete, or whose domain can't be run here, opens all the same when
 * its header can be read.
 *
 * Returns: (transfer full) (nullable): the image
 */
VsSavedImage *
vs_saved_image_open (int fd, GError **error)
{
  g_autoptr (VsSavedImage) self = g_new0 (VsSavedImage, 1);
  g_autoptr (GError) local = NULL;

  self->files = g_unix_fd_list_new ();
  if (g_unix_fd_list_append (self->files, fd, &local) < 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "The descriptor of the image can't be used: %s",
                   local->message);
      return NULL;
    }
  if (!read_header (self, error))
    return NULL;
  read_texts (self);
  return g_steal_pointer (&self);
}

void
vs_saved_image_free (VsSavedImage *self)
{
  g_clear_object (&self->files);
  g_clear_pointer (&self->header, vs_image_header_free);
  g_free (self->name);
  g_free (self->uuid);
  g_clear_pointer (&self->def, vs_domain_def_unref);
  g_clear_pointer (&self->inactive_def, vs_domain_def_unref);
  g_clear_error (&self->def_error);
  g_free (self);
}

/**
 * vs_saved_image_get_fd:
 * @self: an image
 *
 * Returns: our descriptor of it, which lives as long as @self
 */
int
vs_saved_image_get_fd (VsSavedImage *self)
{
  return g_unix_fd_list_peek_fds (self->files, NULL)[0];
}

/**
 * vs_saved_image_get_memory_size:
 * @self: an image
 *
 * Returns: how many bytes the guest's state takes in it; of an image that isn't complete, how many there are
 */
guint64
vs_saved_image_get_memory_size (VsSavedImage *self)
{
  const VsImageHeader *header = self->header;

  if (header->complete && header->stream_length != 0)
    return header->stream_length;
  return self->size > header->stream_offset ? self->size - header->stream_offset : 0;
}

/* What the image says now, unless somebody changed it since it was opened: the answer to a question about the old one
 * says nothing about the new one. */
static VsImageHeader *
read_again (VsSavedImage *self, GError **error)
{
  g_autoptr (VsImageHeader) header = vs_image_header_read (vs_saved_image_get_fd (self), error);
  g_autofree char *before = vs_image_header_digest (self->header);
  g_autofree char *now = NULL;

  if (header == NULL || !vs_image_header_check_complete (header, error))
    return NULL;
  now = vs_image_header_digest (header);
  if (g_str_equal (now, before))
    return g_steal_pointer (&header);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
               "somebody else changed it at the same time: look at it, and try again");
  return NULL;
}

static gboolean
change (VsSavedImage *self, VsDomainDef *def, VsImageState state, GError **error)
{
  g_autoptr (VsImageHeader) header = read_again (self, error);

  if (header == NULL)
    return FALSE;
  if (def != NULL)
    {
      g_free (header->xml);
      header->xml = vs_domain_def_format (def);
    }
  if (state != VS_IMAGE_STATE_KEEP)
    header->running = state == VS_IMAGE_STATE_RUNNING;
  return vs_image_rewrite (vs_saved_image_get_fd (self), header, error);
}

/* One rewrite of a file at a time. */
static gboolean
change_alone (VsSavedImage *self, VsDomainDef *def, VsImageState state, GError **error)
{
  static GMutex mutex;
  static GHashTable *under_way; /* a set of files, as strings */
  g_autofree char *key = NULL;
  struct stat st;
  gboolean is_first, good;

  if (fstat (vs_saved_image_get_fd (self), &st) != 0)
    {
      vs_image_error_from_errno (error, errno, "couldn't look at the image's descriptor");
      return FALSE;
    }
  key = g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64) st.st_dev, (guint64) st.st_ino);
  g_mutex_lock (&mutex);
  if (under_way == NULL)
    under_way = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  is_first = g_hash_table_add (under_way, g_strdup (key));
  g_mutex_unlock (&mutex);
  if (!is_first)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY, "it is being changed by somebody else: try again");
      return FALSE;
    }
  good = change (self, def, state, error);
  g_mutex_lock (&mutex);
  g_hash_table_remove (under_way, key);
  g_mutex_unlock (&mutex);
  return good;
}

/**
 * vs_saved_image_rewrite:
 * @self: an image whose descriptor can be written, too
 * @def: (nullable): the definition that shall stand in it: host paths and names may differ from what does, not what the
 *   guest could notice; %NULL: it stays
 * @state: what shall become of the guest when it is restored
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: @def is another guest's, or the descriptor won't do;
 *   %VMSNAP_ERROR_NOT_SUPPORTED: the definition in it can't be understood, so @def can't be compared with it;
 *   %VMSNAP_ERROR_BUSY: somebody else changes it; and those of vs_image_rewrite()
 *
 * Changes what the image says. However this ends, the image is whole: it says either what it did or all that is asked
 * for. @self tells of the image as it was.
 *
 * Returns: whether it is done, and on the disk
 */
gboolean
vs_saved_image_rewrite (VsSavedImage *self, VsDomainDef *def, VsImageState state, GError **error)
{
  g_autoptr (VsDomainDef) checked = NULL;

  if (self->def == NULL && (def != NULL || self->def_error->code == VMSNAP_ERROR_IMAGE_CORRUPT))
    {
      g_propagate_error (error, g_error_copy (self->def_error));
      return FALSE;
    }
  if (def != NULL)
    {
      checked = vs_save_check_same_guest (self->def, def, error);
      if (checked == NULL)
        return FALSE;
    }
  if (change_alone (self, checked, state, error))
    return TRUE;
  g_prefix_error (error, "The image of %s can't be changed: ", self->name);
  return FALSE;
}
