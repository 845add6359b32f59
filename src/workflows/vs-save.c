/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Saving a guest into an image, a caller's or the domain's own (the managed save): the guest stops, its memory is
 * written, the image is on the disk and says that it is whole, and only then the guest ends. Before that, everything that
 * fails gives it back as it was, with an image that says that it is only a part; after that it is only ever ended, for it
 * must not run on beside a whole image of itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-image-codec.h"
#include "vs-image-writer.h"
#include "vs-kept-file.h"
#include "vs-migration.h"
#include "vs-operations.h"
#include "vs-save-workflows.h"
#include "vs-save-xml.h"
#include "vs-steps.h"

#define FACT_MANAGED "managed"
#define FACT_XML "xml"       /* the caller's definition for the image */
/* The caller's file, for a next life that doesn't have the descriptor any more */
#define FACT_PATH "path"
#define FACT_DEVICE "device"
#define FACT_INODE "inode"

/* As JSON: its integers are signed, so the numbers of a file are kept as text. */
static void
set_number (VsRun *run, const char *key, guint64 number)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, number);

  vs_run_set_string (run, key, text);
}

static gboolean
is_number (VsRun *run, const char *key, guint64 number)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, number);

  return g_strcmp0 (vs_run_get_string (run, key), text) == 0;
}

static char *
managed_path (VsRun *run, const char *name)
{
  return vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), NULL, name);
}

static void
note_file (VsRun *run)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", vs_run_get_fd (run));
  g_autofree char *path = g_file_read_link (link, NULL);
  struct stat st;

  if (path == NULL || fstat (vs_run_get_fd (run), &st) != 0 || !g_utf8_validate (path, -1, NULL))
    return;
  vs_run_set_string (run, FACT_PATH, path);
  set_number (run, FACT_DEVICE, st.st_dev);
  set_number (run, FACT_INODE, st.st_ino);
}

/* By the way that an earlier life noted, if that still leads there; else -1. */
static int
open_noted (VsRun *run, int flags)
{
  const char *path = vs_run_get_string (run, FACT_PATH);
  int fd = path != NULL ? open (path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
  struct stat st;

  if (fd < 0)
    return -1;
  if (fstat (fd, &st) == 0 && is_number (run, FACT_DEVICE, st.st_dev) && is_number (run, FACT_INODE, st.st_ino))
    return fd;
  close (fd);
  return -1;
}

/* The image of an earlier life, or -1. A caller's is looked for in QEMU first, where no rights and no move matter. What
 * the caller can only write comes write-only if need be, unless it is to be read alone. */
static int
open_again (VsRun *run, int flags)
{
  int kept, fd;

  if (vs_run_get_flag (run, FACT_MANAGED))
    {
      g_autofree char *path = managed_path (run, VS_STORE_MANAGED_SAVE);

      return open (path, flags | O_CLOEXEC);
    }
  kept = vs_kept_file_take (run, vs_run_get_string (run, FACT_MARK));
  if (kept >= 0 && (fcntl (kept, F_GETFL) & O_ACCMODE) != O_WRONLY)
    return kept;
  fd = open_noted (run, flags);
  if (fd < 0 && flags == O_RDWR)
    return kept;
  if (kept >= 0)
    close (kept);
  return fd;
}

static gboolean
look_first (VsRun *run, GError **error)
{
  gboolean running;

  /* The user may have paused or resumed it since it was this operation's turn. */
  if (!vs_steps_is_running (run, &running, error)
      || !vs_migration_check (run, vs_run_get_int (run, FACT_ENCODING), error))
    return FALSE;
  vs_run_set_flag (run, FACT_RUNNING, running);
  if (vs_run_get_flag (run, FACT_MANAGED))
    return TRUE;
  if (!vs_steps_claim_image (run, TRUE, error))
    return FALSE;
  note_file (run);
  vs_kept_file_leave (run, vs_run_get_fd (run), vs_run_get_string (run, FACT_MARK));
  return TRUE;
}

static VsImageHeader *
make_header (VsRun *run)
{
  g_autofree char *own = NULL;
  const char *xml = vs_run_get_string (run, FACT_XML);
  gboolean running = vs_run_get_flag (run, FACT_RUNNING);

  if (xml == NULL)
    xml = own = vs_domain_def_format (vs_run_get_def (run));
  if (vs_run_get_flag (run, FACT_WANT_RUNNING) || vs_run_get_flag (run, FACT_WANT_PAUSED))
    running = vs_run_get_flag (run, FACT_WANT_RUNNING);
  return vs_image_header_new (xml, vs_run_get_string (run, FACT_COOKIE), vs_run_get_int (run, FACT_ENCODING), running);
}

/* A domain that is transient no more, or was never written down, has a directory all the same: its journal's. */
static int
create_managed (VsRun *run, GError **error)
{
  g_autofree char *path = managed_path (run, VS_STORE_MANAGED_SAVE_PART);
  int fd = open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  int number = errno;

  if (fd < 0)
    g_set_error (error, VMSNAP_ERROR, number == ENOSPC || number == EDQUOT ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
                 "Can't make %s: %s", path, g_strerror (number));
  return fd;
}

static gboolean
begin_image (VsRun *run, GError **error)
{
  gboolean managed = vs_run_get_flag (run, FACT_MANAGED);
  VsImageFlags flags = vs_run_get_flag (run, FACT_BYPASS_CACHE) ? VS_IMAGE_FLAGS_BYPASS_CACHE : VS_IMAGE_FLAGS_NONE;
  g_autoptr (VsImageHeader) header = make_header (run);
  int fd = managed ? create_managed (run, error) : vs_run_get_fd (run);
  VsImageWriter *writer;

  if (fd < 0)
    return FALSE;
  writer = vs_image_writer_new (fd, header, flags, error);
  if (managed)
    close (fd);
  if (writer == NULL)
    {
      g_prefix_error (error, "The image can't be begun: ");
      return FALSE;
    }
  vs_run_set_tool (run, writer, (GDestroyNotify) vs_image_writer_free);
  return TRUE;
}

static void
mark_partial (VsRun *run)
{
  const char *path = vs_run_get_string (run, FACT_PATH);
  int fd = open_again (run, O_RDWR);

  if (fd < 0 || !vs_image_mark_partial (fd, NULL))
    g_message ("%s can't be looked at again; if it is there, it is no image to be restored",
               path != NULL ? path : "The image's file");
  if (fd >= 0)
    close (fd);
}

/* Undo. What an earlier life left of a caller's file must not look whole beside a guest that goes on. */
static gboolean
give_image_up (VsRun *run, GError **error)
{
  VsStore *store = vs_run_get_store (run);
  const char *uuid = vs_run_get_uuid (run);

  vs_run_set_tool (run, NULL, NULL);
  if (vs_run_get_flag (run, FACT_MANAGED))
    return vs_store_remove (store, uuid, NULL, VS_STORE_MANAGED_SAVE_PART, error)
           && vs_store_remove (store, uuid, NULL, VS_STORE_MANAGED_SAVE, error);
  if (vs_run_is_recovery (run))
    mark_partial (run);
  vs_kept_file_drop (run, vs_run_get_string (run, FACT_MARK));
  return TRUE;
}

static gboolean
save_memory (VsRun *run, GError **error)
{
  vs_steps_hold (run, TRUE);
  if (vs_run_get_flag (run, FACT_RUNNING) && !vs_steps_stop (run, VMSNAP_STATE_REASON_SAVING, error))
    return FALSE;
  return vs_migration_save (run, vs_run_get_tool (run), vs_run_get_int (run, FACT_ENCODING), error);
}

/* Who paused it meanwhile finds it paused for that reason. */
static gboolean
give_user_reason (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_PAUSED
      && vs_domain_get_state_reason (domain) == VMSNAP_STATE_REASON_SAVING)
    vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_USER);
  return TRUE;
}

/* Undo: the guest goes on where it stood. */
static gboolean
wake (VsRun *run, GError **error)
{
  if (!vs_migration_stop (run, vs_run_get_tool (run), error))
    return FALSE;
  if (vs_run_get_monitor (run, NULL) == NULL)
    return TRUE;
  if (!vs_migration_take_disks_back (run, error) || !vs_steps_restore_running (run, error))
    return FALSE;
  return vs_run_on_main (run, give_user_reason, NULL, error);
}

static gboolean
complete_image (VsRun *run, GError **error)
{
  VsImageWriter *writer = vs_run_get_tool (run);

  if (!vs_image_writer_finish (writer, vs_run_get_cancellable (run), error)
      || !vs_image_writer_seal (writer, error))
    {
      g_prefix_error (error, "The image can't be completed: ");
      return FALSE;
    }
  return !vs_run_get_flag (run, FACT_MANAGED)
         || vs_store_rename (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_MANAGED_SAVE_PART,
                             VS_STORE_MANAGED_SAVE, error);
}

/* The whole image is there, and it is the one that this run wrote. */
static gboolean
is_complete (VsRun *run)
{
  int fd = open_again (run, O_RDONLY);
  g_autoptr (VsImageHeader) header = fd >= 0 ? vs_image_header_read (fd, NULL) : NULL;

  if (fd >= 0)
    close (fd);
  return header != NULL && header->complete && header->cookie != NULL
         && strstr (header->cookie, vs_run_get_string (run, FACT_MARK)) != NULL;
}

static gboolean
tell (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_run_get_flag (run, FACT_MANAGED))
    vs_domain_set_has_managed_save (domain, TRUE);
  if (!vs_domain_is_active (domain))
    vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_SHUTOFF, VMSNAP_STATE_REASON_SAVED);
  vs_domain_emit_event (domain, "saved", NULL);
  return TRUE;
}

static gboolean
end_guest (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  return vs_steps_end_guest (run, VS_PROCESS_END_TERM, VMSNAP_STATE_REASON_SAVED, error)
         && vs_run_on_main (run, tell, NULL, error);
}

static gboolean
refuse (VsDomain *domain, const char *what, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s is %s: %s", vs_domain_get_name (domain),
               vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)), what);
  return FALSE;
}

/* What is written into the image is what has been checked. */
static gboolean
check_definition (VsDomain *domain, JsonObject *facts, GError **error)
{
  const char *xml = json_object_get_string_member_with_default (facts, FACT_XML, NULL);
  g_autoptr (VsDomainDef) wanted = NULL;
  g_autoptr (VsDomainDef) checked = NULL;
  g_autofree char *text = NULL;

  if (xml == NULL)
    return TRUE;
  wanted = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, error);
  if (wanted != NULL)
    checked = vs_save_check_same_guest (vs_domain_get_def (domain), wanted, error);
  if (checked == NULL)
    return FALSE;
  text = vs_domain_def_format (checked);
  json_object_set_string_member (facts, FACT_XML, text);
  return TRUE;
}

/**
 * vs_save_note_cookie:
 * @domain: a domain
 * @facts: an operation's, which get %FACT_MARK and %FACT_COOKIE
 *
 * What an image of its guest tells besides the definition. Main thread.
 */
void
vs_save_note_cookie (VsDomain *domain, JsonObject *facts)
{
  VsDomainDef *inactive = vs_domain_get_inactive_def (domain);
  gboolean persistent = vs_domain_get_persistent (domain);
  gboolean differs = persistent && inactive != vs_domain_get_def (domain);
  g_autofree char *live_xml = vs_domain_def_format (vs_domain_get_def (domain));
  g_autofree char *xml = vs_domain_def_format (inactive);
  g_autofree char *mark = g_uuid_string_random ();
  g_autofree char *cookie =
    vs_save_cookie_format (persistent, differs && !g_str_equal (xml, live_xml) ? inactive : NULL, mark);

  json_object_set_string_member (facts, FACT_MARK, mark);
  json_object_set_string_member (facts, FACT_COOKIE, cookie);
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  gboolean managed = json_object_get_boolean_member (facts, FACT_MANAGED);

  if (!vs_domain_is_active (domain))
    return refuse (domain, "there is no memory to save", error);
  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_CRASHED)
    return refuse (domain, "reset it, or power it off", error);
  if (managed && !vs_domain_get_persistent (domain))
    return refuse (domain, "it is transient, and would be gone with its managed save; save it into a file, or define it",
                   error);
  if (!check_definition (domain, facts, error))
    return FALSE;
  vs_steps_note_state (domain, facts);
  vs_save_note_cookie (domain, facts);
  return TRUE;
}

static const VsStep steps[] = {
  { "Looking at the guest", 1, look_first },
  { "Beginning the image", 1, begin_image, give_image_up },
  { "Writing memory", 90, save_memory, wake, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Completing the image", 6, complete_image, NULL, is_complete, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Ending the guest", 2, end_guest },
};

const VsWorkflow vs_workflow_save = { "save", "save", check, steps, G_N_ELEMENTS (steps) };
const VsWorkflow vs_workflow_managed_save = { "managed-save", "managed-save", check, steps, G_N_ELEMENTS (steps) };

static JsonObject *
make_facts (const VsSaveOptions *options, gboolean managed)
{
  JsonObject *facts = json_object_new ();

  json_object_set_boolean_member (facts, FACT_MANAGED, managed);
  json_object_set_boolean_member (facts, FACT_WANT_RUNNING, options->running);
  json_object_set_boolean_member (facts, FACT_WANT_PAUSED, options->paused);
  json_object_set_boolean_member (facts, FACT_BYPASS_CACHE, options->bypass_cache);
  json_object_set_int_member (facts, FACT_ENCODING, options->encoding);
  if (options->def != NULL)
    {
      g_autofree char *xml = vs_domain_def_format (options->def);
      json_object_set_string_member (facts, FACT_XML, xml);
    }
  return facts;
}

/**
 * vs_save_check_program:
 * @encoding: of an image
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * What is known to be missing is missing before the guest stops.
 *
 * Returns: whether there is a program for it, if it needs one
 */
gboolean
vs_save_check_program (VsImageEncoding encoding, GError **error)
{
  g_auto (GStrv) command = NULL;

  if (!vs_image_encoding_has_program (encoding))
    return TRUE;
  command = vs_image_codec_find (encoding, FALSE, error);
  return command != NULL;
}

/**
 * vs_operation_save:
 * @engine: the engine
 * @domain: a domain with a guest
 * @fd: the caller's descriptor of a regular file or a block device, writable; duplicated
 * @options: how
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_NOT_SUPPORTED: no program for the encoding, …
 *
 * Saves the guest into an image, and ends it.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_save (VsEngine *engine,
                   VsDomain *domain,
                   int fd,
                   const VsSaveOptions *options,
                   const VsRequest *request,
                   GError **error)
{
  g_autoptr (JsonObject) facts = make_facts (options, FALSE);
  g_autoptr (GUnixFDList) files = g_unix_fd_list_new ();
  VsRequest with_file = *request;

  if (!vs_save_check_program (options->encoding, error) || g_unix_fd_list_append (files, fd, error) < 0)
    return NULL;
  with_file.files = files;
  return vs_engine_submit (engine, domain, &vs_workflow_save, facts, &with_file, error);
}

/**
 * vs_operation_managed_save:
 * @engine: the engine
 * @domain: a persistent domain with a guest
 * @options: how; without @def
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, …
 *
 * Saves the guest into the store, for the domain's next start, and ends it.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_managed_save (VsEngine *engine,
                           VsDomain *domain,
                           const VsSaveOptions *options,
                           const VsRequest *request,
                           GError **error)
{
  g_autoptr (JsonObject) facts = make_facts (options, TRUE);

  if (!vs_save_check_program (options->encoding, error))
    return NULL;
  return vs_engine_submit (engine, domain, &vs_workflow_managed_save, facts, request, error);
}
