/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that put a guest into an image, and bring it back. This program opens the files, with its user's rights; the
 * service gets descriptors. Lives in the main thread.
 */
#include "commands.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is taken when somebody wants an image to be small, and doesn't care how. */
#define COMPRESSED "zstd"
/* How a saved image begins that is complete. */
#define COMPLETE "LibvirtQemudSave"

/* What damages a guest silently, if nobody says it. */
#define DISKS_NOTE                                                                                                     \
  "An image belongs to the disks as they were when it was saved: the guest remembers what is on them. Once it has\n"   \
  "run on, the image is of no more use, and restoring it damages the guest's file systems. To come back to this\n"     \
  "point more than once, keep copies of the disks beside the image, and put them back first; or take a snapshot."

/* The options of all that save or restore; each has some of them. */
typedef struct
{
  gboolean running;
  gboolean paused;
  gboolean bypass_cache;
  gboolean compress;
  gboolean force;
  char *encoding;
  char *xml_file;
} SaveArguments;

static void
save_arguments_clear (SaveArguments *arguments)
{
  g_free (arguments->encoding);
  g_free (arguments->xml_file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SaveArguments, save_arguments_clear)

#define STATE_ENTRIES(arguments)                                                                                       \
  { "running", 0, 0, G_OPTION_ARG_NONE, &(arguments)->running, "Let the guest run when it is restored", NULL },        \
  {                                                                                                                    \
    "paused", 0, 0, G_OPTION_ARG_NONE, &(arguments)->paused, "Leave the guest paused when it is restored", NULL        \
  }
#define BYPASS_ENTRY(arguments)                                                                                        \
  {                                                                                                                    \
    "bypass-cache", 0, 0, G_OPTION_ARG_NONE, &(arguments)->bypass_cache, "Don't fill the host's cache", NULL           \
  }
#define ENCODING_ENTRIES(arguments)                                                                                    \
  { "encoding", 0, 0, G_OPTION_ARG_STRING, &(arguments)->encoding, "raw, zstd, gzip, xz, lzop, bzip2 or sparse",       \
    "NAME" },                                                                                                          \
  {                                                                                                                    \
    "compress", 0, 0, G_OPTION_ARG_NONE, &(arguments)->compress, "The same as --encoding " COMPRESSED, NULL            \
  }
#define XML_ENTRY(arguments)                                                                                           \
  {                                                                                                                    \
    "xml", 0, 0, G_OPTION_ARG_FILENAME, &(arguments)->xml_file, "Take this definition instead: of the same guest",     \
      "FILE"                                                                                                           \
  }

static const char *const encodings[] = { "raw", "zstd", "gzip", "xz", "lzop", "bzip2", "sparse", NULL };

/* Says what is wrong with the command line, or collects the options of the call. */
static gboolean
check_arguments (Ctl *ctl, const SaveArguments *arguments, GVariantDict *options)
{
  if (arguments->running && arguments->paused)
    ctl_usage (ctl, "--running and --paused exclude each other; give one of them");
  else if (arguments->compress && arguments->encoding != NULL)
    ctl_usage (ctl, "--compress and --encoding exclude each other; give one of them");
  else if (arguments->encoding != NULL && !g_strv_contains (encodings, arguments->encoding))
    ctl_usage (ctl, "There is no encoding '%s'; give raw, zstd, gzip, xz, lzop, bzip2 or sparse", arguments->encoding);
  else
    {
      ctl_option_flag (options, "running", arguments->running);
      ctl_option_flag (options, "paused", arguments->paused);
      ctl_option_flag (options, "bypass-cache", arguments->bypass_cache);
      ctl_option_string (options, "encoding", arguments->compress ? COMPRESSED : arguments->encoding);
      return TRUE;
    }
  return FALSE;
}

/* Elsewhere this means standard input or output. */
static gboolean
check_name (Ctl *ctl, const char *name)
{
  if (!g_str_equal (name, "-"))
    return TRUE;
  ctl_usage (ctl, "An image needs a file, for its beginning is written last: '-' can't be one; './-' is, if you mean it");
  return FALSE;
}

static gboolean
read_definition (const SaveArguments *arguments, GVariantDict *options, GError **error)
{
  g_autofree char *xml = NULL;

  if (arguments->xml_file == NULL)
    return TRUE;
  xml = ctl_read_xml (arguments->xml_file, error);
  ctl_option_string (options, "xml", xml);
  return xml != NULL;
}

/* The file that a guest is to be saved into. */
typedef struct
{
  GFile *file;
  int fd;
  gboolean created;
} Target;

static void
target_clear (Target *target)
{
  g_clear_object (&target->file);
  if (target->fd >= 0)
    close (target->fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Target, target_clear)

/* Removes what was made for nothing, unless it is another file by now. */
static void
target_undo (Target *target)
{
  g_autofree char *path = target->created ? g_file_get_path (target->file) : NULL;
  struct stat ours;
  struct stat there;

  if (path != NULL && fstat (target->fd, &ours) == 0 && lstat (path, &there) == 0 && ours.st_dev == there.st_dev
      && ours.st_ino == there.st_ino)
    unlink (path);
}

/* A complete image of another guest may be the only copy of it; the domain's own is stale: its guest is here. */
static gboolean
target_open_own (Target *target, Ctl *ctl, VmSnapDomain *domain)
{
  g_autoptr (VmSnapImageInfo) info = NULL;

  target->fd = vmsnap_image_open (target->file, VMSNAP_IMAGE_ACCESS_REWRITE, NULL, NULL);
  if (target->fd < 0)
    return FALSE;
  info = vmsnap_client_inspect_image_sync (ctl->client, target->fd, NULL, NULL);
  if (info != NULL
      && g_strcmp0 (vmsnap_image_info_get_domain_uuid (info), vmsnap_domain_get_uuid (domain)) == 0)
    return TRUE;
  close (target->fd);
  target->fd = -1;
  return FALSE;
}

static gboolean
target_open (Target *target, Ctl *ctl, VmSnapDomain *domain, gboolean force, GError **error)
{
  VmSnapImageAccess access = force ? VMSNAP_IMAGE_ACCESS_OVERWRITE : VMSNAP_IMAGE_ACCESS_SAVE;
  g_autoptr (GError) local = NULL;

  target->fd = vmsnap_image_open (target->file, access, &target->created, &local);
  if (target->fd >= 0)
    return TRUE;
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS) && target_open_own (target, ctl, domain))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
target_is_image (const Target *target)
{
  char magic[sizeof COMPLETE - 1];

  return pread (target->fd, magic, sizeof magic, 0) == sizeof magic && memcmp (magic, COMPLETE, sizeof magic) == 0;
}

/* Whether it is certain that nothing was saved: as long as that isn't, a guest may be in the file, or on its way. */
static gboolean
is_refused (VmSnapJob *job, const GError *error)
{
  if (job == NULL)
    return error->domain == VMSNAP_ERROR && error->code != VMSNAP_ERROR_NOT_FOUND;
  return vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_FAILED
         || vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_CANCELLED;
}

static CtlExit
save (Ctl *ctl, VmSnapDomain *domain, const char *name, const SaveArguments *arguments, GVariant *options)
{
  g_auto (Target) target = { g_file_new_for_commandline_arg (name), -1, FALSE };
  g_autoptr (GVariant) owned = g_variant_ref_sink (options);
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  CtlExit status;
  gboolean is_open;
  gboolean was_image;
  gboolean is_off;

  is_open = target_open (&target, ctl, domain, arguments->force, &error);
  was_image = is_open && target_is_image (&target);
  if (is_open)
    job = vmsnap_domain_save_sync (domain, target.fd, owned, NULL, &error);
  is_off = is_open && job == NULL && is_refused (NULL, error);
  status = ctl_finish_job (ctl, job, error, "Saved %s to %s", vmsnap_domain_get_name (domain), name);
  if (is_off || (job != NULL && is_refused (job, NULL)))
    target_undo (&target);
  if (was_image && status != CTL_OK && !target_is_image (&target))
    g_printerr ("vmsnapctl: %s is no complete image any more: what it held before is lost\n", name);
  return status;
}

CtlExit
ctl_command_save (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (SaveArguments) arguments = { 0 };
  g_autoptr (VmSnapDomain) domain = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = {
    STATE_ENTRIES (&arguments),
    BYPASS_ENTRY (&arguments),
    ENCODING_ENTRIES (&arguments),
    XML_ENTRY (&arguments),
    { "force", 0, 0, G_OPTION_ARG_NONE, &arguments.force, "Overwrite FILE, whatever it is", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  ctl->note = DISKS_NOTE;
  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2) || !check_name (ctl, argv[2])
      || !check_arguments (ctl, &arguments, &options))
    return CTL_USAGE;
  if (read_definition (&arguments, &options, &error))
    domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL)
    return ctl_fail (error);
  return save (ctl, domain, argv[2], &arguments, ctl_options (ctl, &options));
}

CtlExit
ctl_command_managed_save (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (SaveArguments) arguments = { 0 };
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  CtlExit status;
  const GOptionEntry entries[] = {
    STATE_ENTRIES (&arguments),
    BYPASS_ENTRY (&arguments),
    ENCODING_ENTRIES (&arguments),
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1) || !check_arguments (ctl, &arguments, &options))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    job = vmsnap_domain_managed_save_sync (domain, ctl_options (ctl, &options), NULL, &error);
  status = ctl_finish_job (ctl, job, error, "Saved %s", argv[1]);
  if (status == CTL_OK && !ctl->no_wait)
    ctl_done (ctl, "Its next start restores it");
  return status;
}

/* Whose guest a job brings back. */
static char *
name_of (Ctl *ctl, VmSnapJob *job, const char *fallback)
{
  g_autoptr (VmSnapDomain) domain = NULL;

  if (job != NULL && vmsnap_client_catch_up_sync (ctl->client, NULL, NULL))
    domain = vmsnap_job_get_domain (job);
  return g_strdup (domain != NULL ? vmsnap_domain_get_name (domain) : fallback);
}

CtlExit
ctl_command_restore (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (SaveArguments) arguments = { 0 };
  g_autoptr (GFile) file = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  g_autofree char *name = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = {
    { "running", 0, 0, G_OPTION_ARG_NONE, &arguments.running, "Let the guest run, whatever the image says", NULL },
    { "paused", 0, 0, G_OPTION_ARG_NONE, &arguments.paused, "Leave the guest paused, whatever the image says", NULL },
    BYPASS_ENTRY (&arguments),
    XML_ENTRY (&arguments),
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  ctl->note = DISKS_NOTE;
  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1) || !check_name (ctl, argv[1])
      || !check_arguments (ctl, &arguments, &options))
    return CTL_USAGE;
  file = g_file_new_for_commandline_arg (argv[1]);
  if (read_definition (&arguments, &options, &error) && ctl_connect (ctl, &error))
    job = vmsnap_client_restore_domain_from_file_sync (ctl->client, file, ctl_options (ctl, &options), NULL, &error);
  if (job == NULL)
    return ctl_fail_image (error, argv[1]);
  name = name_of (ctl, job, "the guest");
  return ctl_finish_job (ctl, job, error, "Restored %s from %s", name, argv[1]);
}
