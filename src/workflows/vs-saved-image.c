/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A saved image that somebody handed in, as far as its beginning tells. Opening waits for the disk and reads a stranger's
 * XML: worker threads.
 */
#include "vs-saved-image.h"

#include "vmsnap-error.h"
#include "vs-save-xml.h"

static void
read_texts (VsSavedImage *self)
{
  g_autoptr (GError) local = NULL;

  self->def = vs_save_definition_parse (self->header->xml, &self->def_error);
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
  self->header = vs_image_header_read (vs_saved_image_get_fd (self), error);
  if (self->header == NULL)
    return NULL;
  read_texts (self);
  return g_steal_pointer (&self);
}

void
vs_saved_image_free (VsSavedImage *self)
{
  g_clear_object (&self->files);
  g_clear_pointer (&self->header, vs_image_header_free);
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
