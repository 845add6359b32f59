/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest's memory into an image of its own: everything that can be done before the guest stops, the instant itself, the
 * wait, and the ways back. Threads of runs.
 */
#include "vs-memory-save.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-memory-private.h"
#include "vs-migration.h"
#include "vs-save-workflows.h"
#include "vs-steps.h"
#include "vs-warning.h"

/* How long QEMU may take from `migrate` to the instant: it saves the devices and protects the memory. */
#define INSTANT_TIMEOUT (30 * G_USEC_PER_SEC)
/* A guest's memory, not knowing its devices: what they have of their own. */
#define DEVICE_MEMORY ((guint64) 256 << 20)
/* A guest that changes its memory faster than its image takes it stands still most of the time. */
#define SLOW ((guint64) 100 << 20)

typedef struct
{
  VsImageWriter *writer;
  QmpWatch *watch;
  char *uri;
  gint64 set;
  gboolean is_at_risk; /* QEMU writes, and loses its guest when it can't */
} Memory;

static void
memory_free (gpointer data)
{
  Memory *self = data;

  if (self->is_at_risk)
    vs_image_writer_leave (self->writer);
  g_clear_pointer (&self->writer, vs_image_writer_free);
  g_clear_pointer (&self->watch, qmp_watch_free);
  g_free (self->uri);
  g_free (self);
}

/**
 * vs_memory_save_note:
 * @path: (nullable): where the caller wants the image; %NULL: in the store
 * @options: what else the caller wants
 * @facts: the operation's
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED: there is no program for the encoding
 *
 * Before the operation begins. Main thread.
 *
 * Returns: whether an image can be written so
 */
gboolean
vs_memory_save_note (const char *path, const VsSnapshotCreateOptions *options, JsonObject *facts, GError **error)
{
  VsImageEncoding encoding = options->has_encoding ? options->encoding : VS_IMAGE_ENCODING_RAW;

  json_object_set_int_member (facts, FACT_ENCODING, encoding);
  if (path != NULL)
    vs_memory_file_note (path, facts);
  return vs_save_check_program (encoding, error);
}

/**
 * vs_memory_save_look:
 * @run: a run with a guest of which is known whether it runs
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED, %VMSNAP_ERROR_ALREADY_EXISTS, %VMSNAP_ERROR_NOT_FOUND, …
 *
 * Before anything is done. Chooses the mode.
 *
 * Returns: whether its memory can be saved as it is wanted
 */
gboolean
vs_memory_save_look (VsRun *run, GError **error)
{
  return vs_migration_check (run, (VsImageEncoding) vs_run_get_int (run, FACT_ENCODING), error)
         && vs_memory_file_look (run, error) && vs_memory_mode_choose (run, error);
}

static VsImageWriter *
begin_image (VsRun *run, GError **error)
{
  g_autofree char *xml = vs_domain_def_format (vs_run_get_def (run));
  g_autoptr (VsImageHeader) header
    = vs_image_header_new (xml, vs_run_get_string (run, FACT_COOKIE),
                           (VsImageEncoding) vs_run_get_int (run, FACT_ENCODING), vs_run_get_flag (run, FACT_RUNNING));
  int fd = vs_memory_file_create (run, error);
  VsImageWriter *writer;

  if (fd < 0)
    return NULL;
  writer = vs_image_writer_new (fd, header, VS_IMAGE_FLAGS_NONE, error);
  close (fd);
  if (writer == NULL)
    g_prefix_error (error, "The image of the memory can't be begun: ");
  return writer;
}

static void
warn_of_slowness (VsRun *run, guint64 rate)
{
  guint64 memory = MIN (vs_run_get_def (run)->memory, vs_steps_resident_memory (run));

  if (rate < SLOW)
    vs_warning_add (run, "%s takes %.1f MB/s: the guest will be slowed for up to %" G_GUINT64_FORMAT
                    " s, while its memory is written; a faster disk for the memory (memory-path) would help",
                    vs_run_get_string (run, FACT_MEMORY_PATH), (double) rate / 1e6, memory / rate + 1);
}

/* All that QEMU may write, as far as the definition tells. */
static guint64
guess_length (VsDomainDef *def)
{
  guint64 memory = def->memory + DEVICE_MEMORY;

  for (guint i = 0; i < def->videos->len; i++)
    {
      const VsVideoDef *video = g_ptr_array_index (def->videos, i);

      memory += (video->ram + video->vram) * 1024;
    }
  return vs_memory_mode_stream_length (memory);
}

/* Where a failing write would cost the guest, none must fail. */
static gboolean
make_safe (VsRun *run, VsImageWriter *writer, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *why = NULL;
  guint64 rate = vs_image_writer_measure (writer, error);

  if (rate == 0)
    return FALSE;
  warn_of_slowness (run, rate);
  if (!vs_memory_mode_is_fragile (run)
      || vs_image_writer_reserve (writer, guess_length (vs_run_get_def (run)), &local))
    return TRUE;
  why = g_strdup_printf ("this QEMU loses its guest when a background snapshot runs out of space, and %s",
                         local->message);
  return vs_memory_mode_fall_back (run, why, error);
}

/**
 * vs_memory_save_prepare:
 * @run: a run that has looked
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, …
 *
 * Makes the image, and gets QEMU ready to write into it: all that needn't wait until the guest stops.
 *
 * Returns: whether it can stop now
 */
gboolean
vs_memory_save_prepare (VsRun *run, GError **error)
{
  Memory *self = g_new0 (Memory, 1);

  self->set = -1;
  vs_run_set_tool (run, self, memory_free);
  self->writer = begin_image (run, error);
  if (self->writer == NULL
      || (vs_memory_save_get_mode (run) == VS_MEMORY_BACKGROUND && !make_safe (run, self->writer, error)))
    return FALSE;
  self->watch = vs_migration_watch (run, error);
  if (self->watch != NULL)
    self->uri = vs_migration_lend (run, self->writer, (VsImageEncoding) vs_run_get_int (run, FACT_ENCODING),
                                   vs_memory_mode_get_ways (run), &self->set, error);
  return self->uri != NULL;
}

/**
 * vs_memory_save_forget:
 * @run: a run, also one of a next life
 * @error: %VMSNAP_ERROR_IO
 *
 * Undoes vs_memory_save_prepare(), whatever of it was done; nobody writes any more. A descriptor that QEMU still had
 * would keep the file's space.
 *
 * Returns: whether the image is gone
 */
gboolean
vs_memory_save_forget (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);

  if (self == NULL || self->uri != NULL)
    vs_migration_take_back (run, self != NULL ? self->set : -1);
  vs_run_set_tool (run, NULL, NULL);
  return vs_memory_file_remove (run, error);
}

static gboolean
begin_migration (VsRun *run, Memory *self, GError **error)
{
  self->is_at_risk = vs_memory_save_get_mode (run) == VS_MEMORY_BACKGROUND && vs_memory_mode_is_fragile (run);
  return vs_steps_call (run, "migrate", qmp_args_new ("s:uri", self->uri, NULL), error);
}

/* QEMU says `active`, stops the guest, saves its devices and protects its memory, in this order; the first page that it
 * writes shows that all of that is over. A `cont` before would let the guest run on, and its memory and its disks would
 * be of different instants. Nothing tells of that page, so QEMU is asked until it is there. */
static gboolean
wait_until_taken (VsRun *run, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + INSTANT_TIMEOUT;

  for (;;)
    {
      g_auto (VsMigrationLook) look = { 0 };

      if (!vs_migration_look_on (run, &look, error))
        return FALSE;
      if (look.pages > 0 || g_strcmp0 (look.status, "completed") == 0)
        return TRUE;
      if (look.status != NULL && !vs_migration_is_under_way (look.status))
        {
          vs_migration_set_save_error (run, &look, error);
          return FALSE;
        }
      if (g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "QEMU doesn't begin to write the memory of %s",
                       vs_run_get_def (run)->name);
          return FALSE;
        }
    }
}

/* Up to that state, or the end. What writes the image may know better than QEMU why it couldn't be; but it isn't touched
 * while QEMU may write, and must not fail. */
static gboolean
write_all (VsRun *run, Memory *self, const char *state, GError **error)
{
  GError *local = NULL;

  if (vs_memory_wait_for (run, self->watch, state, &local))
    return TRUE;
  if (!self->is_at_risk)
    vs_migration_find_cause (run, self->writer, &local);
  g_propagate_error (error, local);
  return FALSE;
}

/**
 * vs_memory_save_take:
 * @run: a prepared run whose guest stands still
 * @error: %VMSNAP_ERROR_HYPERVISOR, …
 *
 * Takes the instant. When this returns the guest may go on: in the background mode its memory is still to be written, in
 * the others it is.
 *
 * Returns: whether it is taken
 */
gboolean
vs_memory_save_take (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);

  switch (vs_memory_save_get_mode (run))
    {
    case VS_MEMORY_BACKGROUND:
      return begin_migration (run, self, error) && wait_until_taken (run, error);
    case VS_MEMORY_PRECOPY:
      return vs_steps_call (run, "migrate-continue", qmp_args_new ("s:state", "pre-switchover", NULL), error)
             && write_all (run, self, NULL, error) && vs_migration_leave (run, error);
    case VS_MEMORY_PAUSED:
    default:
      return begin_migration (run, self, error) && write_all (run, self, NULL, error) && vs_migration_leave (run, error);
    }
}

/**
 * vs_memory_save_come_near:
 * @run: a prepared run whose guest may run
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_CANCELLED, …
 *
 * In the precopy mode: writes the memory of the running guest until so little is left that it can be stopped for that,
 * and then it is. In other modes nothing.
 *
 * Returns: whether the instant can be taken
 */
gboolean
vs_memory_save_come_near (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);

  if (vs_memory_save_get_mode (run) != VS_MEMORY_PRECOPY)
    return TRUE;
  return begin_migration (run, self, error) && write_all (run, self, "pre-switchover", error);
}

/* The devices' memory counts, too, and is known only now; it is written last. */
static void
reserve_more (VsRun *run, Memory *self)
{
  g_auto (VsMigrationLook) look = { 0 };
  g_autoptr (GError) local = NULL;

  if (!vs_memory_mode_is_fragile (run) || !vs_migration_look_on (run, &look, NULL)
      || (guint64) look.total <= vs_run_get_def (run)->memory + DEVICE_MEMORY)
    return;
  if (!vs_image_writer_reserve (self->writer, vs_memory_mode_stream_length ((guint64) look.total), &local))
    g_warning ("%s may lose its guest: %s", vs_run_get_def (run)->name, local->message);
}

/**
 * vs_memory_save_wait:
 * @run: a run that has taken the instant in the background mode
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_CANCELLED, …
 *
 * Waits until all of the memory is written. Where QEMU would lose its guest if it was cut short, a cancel waits for the
 * end, too.
 *
 * Returns: whether it is
 */
gboolean
vs_memory_save_wait (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);

  reserve_more (run, self);
  if (!write_all (run, self, NULL, error))
    return FALSE;
  self->is_at_risk = FALSE;
  return vs_migration_configure (run, VS_MIGRATION_PLAIN, error);
}

/**
 * vs_memory_save_complete:
 * @run: a run whose memory is written
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Gets the image onto the disk, and lets it say that it is whole.
 *
 * Returns: whether it is
 */
gboolean
vs_memory_save_complete (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);

  if (self->set >= 0)
    vs_migration_take_back (run, self->set);
  self->set = -1;
  if (!vs_image_writer_finish (self->writer, vs_run_get_cancellable (run), error)
      || !vs_image_writer_seal (self->writer, error))
    {
      g_prefix_error (error, "The image of the memory can't be completed: ");
      return FALSE;
    }
  vs_run_set_int (run, FACT_MEMORY_SIZE, (gint64) vs_image_writer_get_stream_length (self->writer));
  vs_run_set_tool (run, NULL, NULL);
  return vs_memory_file_sync (run, error);
}

/* Until QEMU says that it is over, however long that takes. */
static gboolean
let_finish (VsRun *run, GError **error)
{
  g_autoptr (QmpWatch) watch = vs_migration_watch (run, NULL);

  while (vs_run_get_monitor (run, NULL) != NULL)
    {
      g_auto (VsMigrationLook) look = { 0 };
      gboolean ended;

      if (!vs_migration_look_on (run, &look, error))
        return FALSE;
      if (!vs_migration_is_under_way (look.status))
        return TRUE;
      if (!vs_migration_wait_for_news (run, watch, &ended, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_memory_save_stop:
 * @run: a run, also one of a next life
 * @error: %VMSNAP_ERROR_TIMEOUT, …
 *
 * Ends what vs_memory_save_come_near(), vs_memory_save_take() and vs_memory_save_wait() began, whatever has become of
 * it. The guest may stand still, or run.
 *
 * Returns: whether QEMU writes no more
 */
gboolean
vs_memory_save_stop (VsRun *run, GError **error)
{
  Memory *self = vs_run_get_tool (run);
  gboolean background = vs_memory_save_get_mode (run) == VS_MEMORY_BACKGROUND;
  gboolean ok;

  if (vs_run_get_monitor (run, NULL) == NULL)
    {
      if (self != NULL)
        self->is_at_risk = FALSE;
      return TRUE;
    }
  /* What is written will be thrown away, so the guest needn't wait for it. */
  if (background && !vs_steps_let_run (run, error))
    return FALSE;
  ok = background && vs_memory_mode_is_fragile (run)
         ? let_finish (run, error)
         : vs_migration_stop (run, self != NULL ? self->writer : NULL, error);
  if (ok && self != NULL)
    {
      self->is_at_risk = FALSE;
      /* What comes now may need the room. */
      g_clear_error (&(GError *){ vs_image_writer_abort (self->writer) });
    }
  if (ok && vs_run_get_monitor (run, NULL) != NULL)
    vs_migration_configure (run, VS_MIGRATION_PLAIN, NULL);
  return ok && (vs_run_get_monitor (run, NULL) == NULL || vs_migration_take_disks_back (run, error));
}
