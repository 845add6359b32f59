/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * UEFI: which firmware a definition means, and the variable store that belongs to the domain alone. Firmware is
 * described by the JSON files that QEMU's docs/interop/firmware.json specifies, as distributions install them. Any
 * thread.
 */
#include "vs-firmware.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <sys/stat.h>

#include "vmsnap-error.h"

/* Later directories have the last word about a file name. */
static const char *const directories[] = { "/usr/share/qemu/firmware", "/etc/qemu/firmware" };

typedef struct
{
  const char *code;
  const char *vars;
} Firmware;

static int
compare_names (gconstpointer a, gconstpointer b, gpointer unused)
{
  return g_strcmp0 (a, b);
}

static GPtrArray *
list_descriptions (void)
{
  g_autoptr (GTree) by_name = g_tree_new_full (compare_names, NULL, g_free, g_free);
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; i < G_N_ELEMENTS (directories); i++)
    {
      g_autoptr (GDir) dir = g_dir_open (directories[i], 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        if (g_str_has_suffix (name, ".json"))
          g_tree_replace (by_name, g_strdup (name), g_build_filename (directories[i], name, NULL));
    }
  for (GTreeNode *node = g_tree_node_first (by_name); node != NULL; node = g_tree_node_next (node))
    g_ptr_array_add (paths, g_strdup (g_tree_node_value (node)));
  return paths;
}

static gboolean
array_has (JsonObject *object, const char *key, const char *word)
{
  JsonNode *node = json_object_get_member (object, key);
  JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    if (g_strcmp0 (json_array_get_string_element (array, i), word) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
fits_machine (JsonObject *description, const VsOsDef *os)
{
  JsonArray *targets = json_object_get_array_member (description, "targets");

  for (guint i = 0; targets != NULL && i < json_array_get_length (targets); i++)
    {
      JsonObject *target = json_array_get_object_element (targets, i);
      JsonArray *machines = json_object_get_array_member (target, "machines");

      if (g_strcmp0 (json_object_get_string_member (target, "architecture"), os->arch) != 0)
        continue;
      for (guint j = 0; j < json_array_get_length (machines); j++)
        if (g_pattern_match_simple (json_array_get_string_element (machines, j), os->machine))
          return TRUE;
    }
  return FALSE;
}

static gboolean
fits (JsonObject *description, const VsOsDef *os)
{
  gboolean secure = array_has (description, "features", "secure-boot");
  gboolean enrolled = array_has (description, "features", "enrolled-keys");

  if (!array_has (description, "interface-types", "uefi") || !fits_machine (description, os))
    return FALSE;
  if (secure != (os->secure_boot == VS_TRISTATE_ON))
    return FALSE;
  return os->enrolled_keys == VS_TRISTATE_DEFAULT || enrolled == (os->enrolled_keys == VS_TRISTATE_ON);
}

static const char *
get_filename (JsonObject *mapping, const char *part)
{
  JsonNode *node = json_object_get_member (mapping, part);

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return NULL;
  return json_object_get_string_member_with_default (json_node_get_object (node), "filename", NULL);
}

/* Whether this description is meant: by its code's path when @code is given, else by what the guest needs. */
static gboolean
read_description (JsonObject *description, const VsOsDef *os, const char *code, Firmware *out)
{
  JsonNode *node = json_object_get_member (description, "mapping");
  JsonObject *mapping = node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

  if (mapping == NULL || g_strcmp0 (json_object_get_string_member_with_default (mapping, "device", ""), "flash") != 0)
    return FALSE;
  out->code = get_filename (mapping, "executable");
  out->vars = get_filename (mapping, "nvram-template");
  if (out->code == NULL || out->vars == NULL)
    return FALSE;
  return code != NULL ? g_str_equal (code, out->code) : fits (description, os);
}

static gboolean
find_firmware (const VsOsDef *os, const char *code, char **out_code, char **out_vars)
{
  g_autoptr (GPtrArray) paths = list_descriptions ();

  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (JsonParser) parser = json_parser_new ();
      Firmware firmware;
      JsonNode *root;

      if (!json_parser_load_from_file (parser, g_ptr_array_index (paths, i), NULL))
        continue;
      root = json_parser_get_root (parser);
      if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root)
          || !read_description (json_node_get_object (root), os, code, &firmware))
        continue;
      *out_code = g_strdup (firmware.code);
      *out_vars = g_strdup (firmware.vars);
      return TRUE;
    }
  return FALSE;
}

/* firmware='efi' becomes a definite loader, a loader without a template gets the one that belongs to it. */
static VsDomainDef *
choose_firmware (VsDomainDef *def, GError **error)
{
  const VsOsDef *os = &def->os;
  g_autofree char *code = NULL;
  g_autofree char *vars = NULL;
  gboolean efi = os->firmware_efi && os->loader == NULL;
  gboolean lacks_template =
    os->loader != NULL && os->loader_type == VS_LOADER_PFLASH && os->nvram_template == NULL;

  if (!efi && !lacks_template)
    return vs_domain_def_ref (def);
  if (find_firmware (os, os->loader, &code, &vars))
    return vs_domain_def_copy_with_firmware (def, code, os->nvram_template != NULL ? NULL : vars, error);
  if (lacks_template)
    return vs_domain_def_ref (def);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
               "No UEFI firmware for %s %s is described in %s; install one (Debian's package ovmf), or name it with "
               "<loader>",
               os->arch, os->machine, directories[0]);
  return NULL;
}

/**
 * vs_firmware_complete:
 * @def: a definition with a versioned machine type
 * @store: where the domain's own variable store may go
 * @error: where to put %VMSNAP_ERROR_NOT_FOUND
 *
 * Makes the firmware definite: which code, which template, which file for the domain's own variables.
 *
 * Returns: (transfer full) (nullable): the completed definition
 */
VsDomainDef *
vs_firmware_complete (VsDomainDef *def, VsStore *store, GError **error)
{
  g_autoptr (VsDomainDef) chosen = choose_firmware (def, error);
  g_autofree char *nvram = NULL;

  if (chosen == NULL)
    return NULL;
  if (chosen->os.loader_type != VS_LOADER_PFLASH || chosen->os.nvram != NULL)
    return g_steal_pointer (&chosen);
  nvram = vs_store_get_path (store, chosen->uuid, "nvram", "VARS.fd");
  return vs_domain_def_copy_with_nvram (chosen, nvram, error);
}

/**
 * vs_firmware_prepare_nvram:
 * @def: a completed definition
 * @created: (out): whether the variable store was made now
 * @error: where to put an error
 *
 * Makes the domain's variable store from its template, if it is missing.
 *
 * Returns: whether it is there, or not needed
 */
gboolean
vs_firmware_prepare_nvram (VsDomainDef *def, gboolean *created, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *dir = NULL;
  g_autofree char *data = NULL;
  gsize length;

  *created = FALSE;
  if (def->os.loader_type != VS_LOADER_PFLASH || def->os.nvram == NULL || g_access (def->os.nvram, F_OK) == 0)
    return TRUE;
  if (def->os.nvram_template == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                   "%s is missing, and the definition names no template to make it from (<nvram template='…'>)",
                   def->os.nvram);
      return FALSE;
    }
  dir = g_path_get_dirname (def->os.nvram);
  g_mkdir_with_parents (dir, 0700);
  if (!g_file_get_contents (def->os.nvram_template, &data, &length, &local)
      || !g_file_set_contents_full (def->os.nvram, data, length,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &local))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't make the UEFI variable store %s from %s: %s",
                   def->os.nvram, def->os.nvram_template, local->message);
      return FALSE;
    }
  *created = TRUE;
  return TRUE;
}
