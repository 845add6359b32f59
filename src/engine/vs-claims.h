/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-chain.h"
#include "vs-domain-def.h"

G_BEGIN_DECLS

/**
 * VsClaims:
 *
 * Which running domain uses which file, and how: so that no file is ever written by one guest while another reads or
 * writes it, under whatever path. And the saved images that are under way, for the same reason. Main thread only.
 */
typedef struct _VsClaims VsClaims;

VsClaims *vs_claims_new (void);
void vs_claims_free (VsClaims *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsClaims, vs_claims_free)

gboolean vs_claims_add (VsClaims *self,
                        VsDomainDef *def,
                        GPtrArray *chains,
                        GError **error);
gboolean vs_claims_add_beside (VsClaims *self,
                               VsDomainDef *def,
                               GPtrArray *chains,
                               GError **error);
void vs_claims_settle_beside (VsClaims *self,
                              const char *uuid,
                              gboolean taken_over);
void vs_claims_remove (VsClaims *self,
                       const char *uuid);
gboolean vs_claims_add_image (VsClaims *self,
                              VsDomainDef *def,
                              const char *id,
                              gboolean writes,
                              GError **error);
void vs_claims_remove_image (VsClaims *self,
                             const char *uuid);

G_END_DECLS
