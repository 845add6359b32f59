/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-domain-def.h"
#include "vs-xml-util.h"

G_BEGIN_DECLS

#define VS_MAX_VCPUS 512

/* Internal to this folder: the readers behind vs_domain_def_parse(). Each takes an element and gives a value that owns
 * its strings, whatever is wrong with it: what is wrong is in @problems then. */

char *vs_read_alias (xmlNode *device);
void vs_read_address (VsXmlProblems *problems,
                      xmlNode *device,
                      VsAddress *address);
guint vs_read_boot_order (VsXmlProblems *problems,
                          xmlNode *device);

VsDiskDef *vs_disk_def_read (VsXmlProblems *problems,
                             xmlNode *node);
VsControllerDef *vs_controller_def_read (VsXmlProblems *problems,
                                         xmlNode *node);
VsInterfaceDef *vs_interface_def_read (VsXmlProblems *problems,
                                       xmlNode *node);
VsChardevDef *vs_serial_def_read (VsXmlProblems *problems,
                                  xmlNode *node,
                                  guint default_port);
VsChardevDef *vs_console_def_read (VsXmlProblems *problems,
                                   xmlNode *node);
VsChardevDef *vs_channel_def_read (VsXmlProblems *problems,
                                   xmlNode *node);
VsGraphicsDef *vs_graphics_def_read (VsXmlProblems *problems,
                                     xmlNode *node);
VsVideoDef *vs_video_def_read (VsXmlProblems *problems,
                               xmlNode *node);
VsInputDef *vs_input_def_read (VsXmlProblems *problems,
                               xmlNode *node);
VsMemballoonDef *vs_memballoon_def_read (VsXmlProblems *problems,
                                         xmlNode *node);
VsRngDef *vs_rng_def_read (VsXmlProblems *problems,
                           xmlNode *node);
VsTpmDef *vs_tpm_def_read (VsXmlProblems *problems,
                           xmlNode *node);
VsWatchdogDef *vs_watchdog_def_read (VsXmlProblems *problems,
                                     xmlNode *node);
VsAudioDef *vs_audio_def_read (VsXmlProblems *problems,
                               xmlNode *node);
VsSoundDef *vs_sound_def_read (VsXmlProblems *problems,
                               xmlNode *node);
VsRedirdevDef *vs_redirdev_def_read (VsXmlProblems *problems,
                                     xmlNode *node);

void vs_disk_def_free (VsDiskDef *self);
void vs_controller_def_free (VsControllerDef *self);
void vs_interface_def_free (VsInterfaceDef *self);
void vs_chardev_def_free (VsChardevDef *self);
void vs_graphics_def_free (VsGraphicsDef *self);
void vs_video_def_free (VsVideoDef *self);
void vs_input_def_free (VsInputDef *self);
void vs_memballoon_def_free (VsMemballoonDef *self);
void vs_rng_def_free (VsRngDef *self);
void vs_tpm_def_free (VsTpmDef *self);
void vs_watchdog_def_free (VsWatchdogDef *self);
void vs_audio_def_free (VsAudioDef *self);
void vs_sound_def_free (VsSoundDef *self);
void vs_redirdev_def_free (VsRedirdevDef *self);

void vs_domain_def_read_devices (VsDomainDef *self,
                                 xmlNode *devices,
                                 VsXmlProblems *problems);
void vs_domain_def_read_machine (VsDomainDef *self,
                                 xmlNode *root,
                                 VsXmlProblems *problems);
void vs_domain_def_read_cpu (VsDomainDef *self,
                             xmlNode *root,
                             VsXmlProblems *problems);
void vs_domain_def_clear_devices (VsDomainDef *self);
void vs_domain_def_clear_machine (VsDomainDef *self);
void vs_domain_def_clear_cpu (VsDomainDef *self);

void vs_domain_foreign_complete (xmlNode *root);

VsDomainDef *vs_domain_def_new_from_doc (xmlDoc *doc,
                                         VsDomainDefFlags flags,
                                         VsXmlProblems *problems);
VsDomainDef *vs_domain_def_finish_copy (xmlDoc *doc,
                                        GError **error);

G_END_DECLS
