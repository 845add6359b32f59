/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names, object paths and the escaping between them. Pure; any thread.
 */
#include "vmsnap-names.h"

#include <string.h>

/**
 * vmsnap_encode_name:
 * @name: any bytes
 *
 * Writes @name so that it can be one element of an object path or one file name: each byte outside `[A-Za-z0-9]`
 * becomes `_xx` (lower-case hex), as does a first byte that is a digit. The rule is the bus contract's, and nearly
 * systemd's bus_label_escape().
 *
 * Returns: (transfer full): the encoded name
 */
char *
vmsnap_encode_name (const char *name)
{
  GString *out = g_string_new (NULL);

  for (const char *p = name; *p != '\0'; p++)
    {
      if (g_ascii_isalpha (*p) || (g_ascii_isdigit (*p) && p != name))
        g_string_append_c (out, *p);
      else
        g_string_append_printf (out, "_%02x", (guchar) *p);
    }
  return g_string_free (out, FALSE);
}

/**
 * vmsnap_decode_name:
 * @encoded: what vmsnap_encode_name() wrote
 *
 * Undoes vmsnap_encode_name().
 *
 * Returns: (transfer full) (nullable): the name, or %NULL when @encoded is not of that form
 */
char *
vmsnap_decode_name (const char *encoded)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autofree char *again = NULL;

  for (const char *p = encoded; *p != '\0'; p++)
    {
      int byte;

      if (*p != '_')
        {
          g_string_append_c (out, *p);
          continue;
        }
      if (!g_ascii_isxdigit (p[1]) || !g_ascii_isxdigit (p[2]))
        return NULL;
      byte = g_ascii_xdigit_value (p[1]) * 16 + g_ascii_xdigit_value (p[2]);
      if (byte == 0)
        return NULL;
      g_string_append_c (out, (char) byte);
      p += 2;
    }
  again = vmsnap_encode_name (out->str);
  return strcmp (again, encoded) == 0 ? g_strdup (out->str) : NULL;
}

/**
 * vmsnap_domain_object_path:
 * @uuid: a domain's uuid in its written form
 *
 * Makes the path on the bus of a domain, which need not exist.
 *
 * Returns: (transfer full): the domain's object path
 */
char *
vmsnap_domain_object_path (const char *uuid)
{
  char *path = g_strconcat (VMSNAP_DOMAINS_PATH "/", uuid, NULL);

  for (char *p = path; *p != '\0'; p++)
    if (*p == '-')
      *p = '_';
  return path;
}

/**
 * vmsnap_snapshot_object_path:
 * @domain_uuid: the domain's uuid
 * @snapshot_name: the snapshot's name
 *
 * Makes the path on the bus of a snapshot, which need not exist.
 *
 * Returns: (transfer full): the snapshot's object path
 */
char *
vmsnap_snapshot_object_path (const char *domain_uuid, const char *snapshot_name)
{
  g_autofree char *domain = vmsnap_domain_object_path (domain_uuid);
  g_autofree char *name = vmsnap_encode_name (snapshot_name);

  return g_strconcat (domain, "/snapshots/", name, NULL);
}

/**
 * vmsnap_job_object_path:
 * @number: the job's number
 *
 * Makes the path on the bus of a job, which need not exist.
 *
 * Returns: (transfer full): the job's object path
 */
char *
vmsnap_job_object_path (guint number)
{
  return g_strdup_printf (VMSNAP_JOBS_PATH "/%u", number);
}

/**
 * vmsnap_name_is_valid:
 * @name: a name for a domain or a snapshot
 *
 * A name is 1 to %VMSNAP_NAME_MAX bytes of UTF-8 without '/' and control characters, and neither "." nor "..". Nor has
 * it U+FFFE or U+FFFF: XML, in which names are kept, has no place for them.
 *
 * Returns: whether @name may name a domain or a snapshot
 */
gboolean
vmsnap_name_is_valid (const char *name)
{
  gsize len = strlen (name);

  if (len == 0 || len > VMSNAP_NAME_MAX || !g_utf8_validate (name, len, NULL))
    return FALSE;
  if (strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return FALSE;
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '/' || c == 0xfffe || c == 0xffff || g_unichar_iscntrl (c))
        return FALSE;
    }
  return TRUE;
}
