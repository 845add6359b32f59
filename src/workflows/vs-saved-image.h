/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gunixfdlist.h>

#include "vs-domain-def.h"
#include "vs-image-codec.h"
#include "vs-save-image.h"

G_BEGIN_DECLS

/**
 * VsImageState:
 * @VS_IMAGE_STATE_KEEP: as the image says
 * @VS_IMAGE_STATE_RUNNING: the guest runs
 * @VS_IMAGE_STATE_PAUSED: it stands still
 *
 * What shall become of a guest when it is restored.
 */
typedef enum {
  VS_IMAGE_STATE_KEEP,
  VS_IMAGE_STATE_RUNNING,
  VS_IMAGE_STATE_PAUSED,
} VsImageState;

/**
 * VsSavedImage:
 * @files: the caller's descriptor, duplicated: the only one in the list
 * @header: what the image says
 * @size: how long the image's file is, in bytes
 * @name: (nullable): the domain's name, also when @def is %NULL; %NULL: @def_error tells why
 * @uuid: (nullable): its uuid, likewise
 * @def_flags: how a definition is read that comes from it, or that shall take its place
 * @def: (nullable): the guest's definition; %NULL: it isn't one that this service could run
 * @def_error: (nullable): why @def is %NULL: %VMSNAP_ERROR_IMAGE_CORRUPT when it isn't XML of a domain at all,
 *   %VMSNAP_ERROR_NOT_SUPPORTED when it asks for what isn't supported here
 * @inactive_def: (nullable): the definition that the domain's next start would have used, where it differs from @def
 * @persistent: whether the domain was persistent. An image that libvirt wrote doesn't tell: %FALSE
 *
 * A saved image that somebody handed in, its beginning read and understood. For InspectImage and RewriteImage, too: an
 * image that isn't complete, or of a domain that can't be run here, opens all the same. Immutable.
 */
typedef struct {
  GUnixFDList *files;
  VsImageHeader *header;
  guint64 size;
  char *name;
  char *uuid;
  VsDomainDefFlags def_flags;
  VsDomainDef *def;
  GError *def_error;
  VsDomainDef *inactive_def;
  gboolean persistent;
} VsSavedImage;

VsSavedImage *vs_saved_image_open (int fd,
                                   GError **error);
void vs_saved_image_free (VsSavedImage *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsSavedImage, vs_saved_image_free)

int vs_saved_image_get_fd (VsSavedImage *self);
guint64 vs_saved_image_get_memory_size (VsSavedImage *self);
gboolean vs_saved_image_rewrite (VsSavedImage *self,
                                 VsDomainDef *def,
                                 VsImageState state,
                                 GError **error);

G_END_DECLS
