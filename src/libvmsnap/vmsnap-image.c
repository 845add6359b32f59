/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a saved image says of itself. Immutable; any thread.
 */
#include "vmsnap-private.h"

/**
 * VmSnapImageInfo:
 *
 * What a saved image says of itself: whose guest it is, and what becomes of that when it is restored.
 *
 * It comes from vmsnap_client_inspect_image() and vmsnap_client_inspect_image_file(), and tells of the image as it was
 * then.
 */
struct _VmSnapImageInfo
{
  GObject parent_instance;
  guint format_version;
  gboolean complete;
  VmSnapDomainState state;
  char *encoding;
  char *domain_name;
  char *domain_uuid;
  char *xml;
  guint64 memory_size;
};

enum
{
  PROP_0,
  PROP_FORMAT_VERSION,
  PROP_COMPLETE,
  PROP_STATE,
  PROP_ENCODING,
  PROP_DOMAIN_NAME,
  PROP_DOMAIN_UUID,
  PROP_XML,
  PROP_MEMORY_SIZE,
  N_PROPERTIES
};

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (VmSnapImageInfo, vmsnap_image_info, G_TYPE_OBJECT)

static void
vmsnap_image_info_finalize (GObject *object)
{
  VmSnapImageInfo *self = VMSNAP_IMAGE_INFO (object);

  g_free (self->encoding);
  g_free (self->domain_name);
  g_free (self->domain_uuid);
  g_free (self->xml);
  G_OBJECT_CLASS (vmsnap_image_info_parent_class)->finalize (object);
}

static void
vmsnap_image_info_get_property (GObject *object, guint property_id, GValue *value, GParamSpec *pspec)
{
  VmSnapImageInfo *self = VMSNAP_IMAGE_INFO (object);

  switch (property_id)
    {
    case PROP_FORMAT_VERSION:
      g_value_set_uint (value, self->format_version);
      break;
    case PROP_COMPLETE:
      g_value_set_boolean (value, self->complete);
      break;
    case PROP_STATE:
      g_value_set_enum (value, self->state);
      break;
    case PROP_ENCODING:
      g_value_set_string (value, self->encoding);
      break;
    case PROP_DOMAIN_NAME:
      g_value_set_string (value, self->domain_name);
      break;
    case PROP_DOMAIN_UUID:
      g_value_set_string (value, self->domain_uuid);
      break;
    case PROP_XML:
      g_value_set_string (value, self->xml);
      break;
    case PROP_MEMORY_SIZE:
      g_value_set_uint64 (value, self->memory_size);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
vmsnap_image_info_class_init (VmSnapImageInfoClass *klass)
{
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = vmsnap_image_info_finalize;
  object_class->get_property = vmsnap_image_info_get_property;

  /**
   * VmSnapImageInfo:format-version:
   *
   * The version of the image's format.
   */
  properties[PROP_FORMAT_VERSION]
    = g_param_spec_uint ("format-version", "Format version", "The version of the format", 0, G_MAXUINT, 0, flags);
  /**
   * VmSnapImageInfo:complete:
   *
   * Whether the image can be restored, as far as its file tells.
   */
  properties[PROP_COMPLETE] = g_param_spec_boolean ("complete", "Complete", "Whether it can be restored", FALSE, flags);
  /**
   * VmSnapImageInfo:state:
   *
   * What becomes of the guest when it is restored and nothing else is asked for: it runs, or is paused.
   */
  properties[PROP_STATE] = g_param_spec_enum ("state", "State", "What becomes of the guest", VMSNAP_TYPE_DOMAIN_STATE,
                                              VMSNAP_DOMAIN_STATE_SHUTOFF, flags);
  /**
   * VmSnapImageInfo:encoding:
   *
   * How the guest's state is written: `raw`, `zstd` and others.
   */
  properties[PROP_ENCODING] = g_param_spec_string ("encoding", "Encoding", "How the state is written", NULL, flags);
  /**
   * VmSnapImageInfo:domain-name:
   *
   * The name of the domain.
   */
  properties[PROP_DOMAIN_NAME] = g_param_spec_string ("domain-name", "Domain name", "Whose guest it is", NULL, flags);
  /**
   * VmSnapImageInfo:domain-uuid:
   *
   * The uuid of the domain.
   */
  properties[PROP_DOMAIN_UUID] = g_param_spec_string ("domain-uuid", "Domain uuid", "Whose guest it is", NULL, flags);
  /**
   * VmSnapImageInfo:xml:
   *
   * The definition of the domain, libvirt domain XML.
   */
  properties[PROP_XML] = g_param_spec_string ("xml", "XML", "The definition of the domain", NULL, flags);
  /**
   * VmSnapImageInfo:memory-size:
   *
   * The bytes that the guest's memory and devices take in the image.
   */
  properties[PROP_MEMORY_SIZE]
    = g_param_spec_uint64 ("memory-size", "Memory size", "The bytes of the state", 0, G_MAXUINT64, 0, flags);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vmsnap_image_info_init (VmSnapImageInfo *self)
{
}

/* The reply of InspectImage. */
VmSnapImageInfo *
_vmsnap_take_image_info (GVariant *reply)
{
  g_autoptr (GVariant) owned = reply;
  g_autoptr (GVariant) values = NULL;
  VmSnapImageInfo *self;
  const char *state = "";
  int number;

  if (owned == NULL)
    return NULL;
  values = g_variant_get_child_value (owned, 0);
  self = g_object_new (VMSNAP_TYPE_IMAGE_INFO, NULL);
  g_variant_lookup (values, "format-version", "u", &self->format_version);
  g_variant_lookup (values, "complete", "b", &self->complete);
  g_variant_lookup (values, "state", "&s", &state);
  g_variant_lookup (values, "encoding", "s", &self->encoding);
  g_variant_lookup (values, "domain-name", "s", &self->domain_name);
  g_variant_lookup (values, "domain-uuid", "s", &self->domain_uuid);
  g_variant_lookup (values, "xml", "s", &self->xml);
  g_variant_lookup (values, "memory-size", "t", &self->memory_size);
  if (vmsnap_enum_from_nick (VMSNAP_TYPE_DOMAIN_STATE, state, &number))
    self->state = number;
  return self;
}

/**
 * vmsnap_image_info_get_format_version:
 * @info: what an image says
 *
 * Tells the version of the image's format.
 *
 * Returns: 2, as yet
 */
guint
vmsnap_image_info_get_format_version (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), 0);

  return info->format_version;
}

/**
 * vmsnap_image_info_is_complete:
 * @info: what an image says
 *
 * Tells whether the image can be restored, as far as its file tells: its writer finished, and the file is no shorter
 * than it was then.
 *
 * Returns: whether it is complete
 */
gboolean
vmsnap_image_info_is_complete (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), FALSE);

  return info->complete;
}

/**
 * vmsnap_image_info_get_state:
 * @info: what an image says
 *
 * Tells what becomes of the guest when it is restored and nothing else is asked for.
 *
 * Returns: %VMSNAP_DOMAIN_STATE_RUNNING or %VMSNAP_DOMAIN_STATE_PAUSED
 */
VmSnapDomainState
vmsnap_image_info_get_state (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), VMSNAP_DOMAIN_STATE_SHUTOFF);

  return info->state;
}

/**
 * vmsnap_image_info_get_encoding:
 * @info: what an image says
 *
 * Tells how the guest's state is written.
 *
 * Returns: (transfer none): `raw`, `zstd` and others
 */
const char *
vmsnap_image_info_get_encoding (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), NULL);

  return info->encoding;
}

/**
 * vmsnap_image_info_get_domain_name:
 * @info: what an image says
 *
 * Tells whose guest it is.
 *
 * Returns: (transfer none): the name of the domain
 */
const char *
vmsnap_image_info_get_domain_name (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), NULL);

  return info->domain_name;
}

/**
 * vmsnap_image_info_get_domain_uuid:
 * @info: what an image says
 *
 * Tells whose guest it is.
 *
 * Returns: (transfer none): the uuid of the domain
 */
const char *
vmsnap_image_info_get_domain_uuid (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), NULL);

  return info->domain_uuid;
}

/**
 * vmsnap_image_info_get_xml:
 * @info: what an image says
 *
 * Tells the definition of the domain.
 *
 * Returns: (transfer none): libvirt domain XML
 */
const char *
vmsnap_image_info_get_xml (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), NULL);

  return info->xml;
}

/**
 * vmsnap_image_info_get_memory_size:
 * @info: what an image says
 *
 * Tells how large the guest's state is, encoded as it is; of an image that isn't complete, as much as there is.
 *
 * Returns: the bytes that memory and devices take in the image
 */
guint64
vmsnap_image_info_get_memory_size (VmSnapImageInfo *info)
{
  g_return_val_if_fail (VMSNAP_IS_IMAGE_INFO (info), 0);

  return info->memory_size;
}
