/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which way a guest's memory is written beside its disks: chosen by what its QEMU, this host, the guest's memory and the
 * image allow, asked of that QEMU itself. Threads of runs.
 */
#include "vs-memory-private.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-save-workflows.h"
#include "vs-steps.h"

/* From this version on a background snapshot may fail, or be cancelled, and the guest lives: tried with 10.0. With 7.2
 * its processors hang in their first write for ever, and it runs the guest again by itself, even one that was paused. */
#define STURDY_MAJOR 10

static const char *const names[] = { "background", "precopy", "paused" };

const char *
vs_memory_mode_get_name (VsMemoryMode mode)
{
  return names[mode];
}

/**
 * vs_memory_save_get_mode:
 * @run: a run that has looked
 *
 * Returns: how the memory gets into the image
 */
VsMemoryMode
vs_memory_save_get_mode (VsRun *run)
{
  const char *name = vs_run_get_string (run, FACT_MEMORY_MODE);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_strcmp0 (name, names[i]) == 0)
      return i;
  return VS_MEMORY_PAUSED;
}

/* Whether this QEMU loses its guest when a background snapshot doesn't come to its good end. */
gboolean
vs_memory_mode_is_fragile (VsRun *run)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  guint major, minor, micro;

  if (monitor == NULL)
    return FALSE;
  qmp_client_get_version (monitor, &major, &minor, &micro);
  return major < STURDY_MAJOR;
}

/* All pages, and 8 bytes of each for where it belongs. */
guint64
vs_memory_mode_stream_length (guint64 memory)
{
  return memory + memory / 256 + VS_MEMORY_DEVICES;
}

VsMigrationWays
vs_memory_mode_get_ways (VsRun *run)
{
  switch (vs_memory_save_get_mode (run))
    {
    case VS_MEMORY_BACKGROUND:
      return VS_MIGRATION_BACKGROUND;
    case VS_MEMORY_PRECOPY:
      return VS_MIGRATION_PRECOPY;
    case VS_MEMORY_PAUSED:
    default:
      return VS_MIGRATION_PLAIN;
    }
}

/* Nothing but trying tells: it depends on the host's kernel, on rights, and on what the guest's memory is. */
static gboolean
can (VsRun *run, VsMigrationWays ways, GError **error)
{
  return vs_migration_configure (run, ways, error) && vs_migration_configure (run, VS_MIGRATION_PLAIN, error);
}

/* QEMU makes it stand still as `paused`, and aborts where it may not go there from the way in which it stands still now:
 * one that never ran, or an I/O error ("invalid runstate transition"; seen on 10.0). */
static gboolean
may_be_stopped (VsRun *run)
{
  g_autofree char *status = vs_steps_get_status (run, NULL);

  return g_strcmp0 (status, "running") == 0 || g_strcmp0 (status, "paused") == 0;
}

static char *
find_obstacle (VsRun *run)
{
  VsImageEncoding encoding = (VsImageEncoding) vs_run_get_int (run, FACT_ENCODING);
  g_autoptr (GError) local = NULL;

  if (!may_be_stopped (run))
    return g_strdup ("the guest stands still in a way in which QEMU can't write its memory in the background: it never "
                     "ran since QEMU was started, or had an I/O error");
  if (encoding == VS_IMAGE_ENCODING_SPARSE)
    return g_strdup ("a sparse image can't be written in the background");
  if (vs_memory_mode_is_fragile (run) && encoding != VS_IMAGE_ENCODING_RAW)
    return g_strdup_printf ("this QEMU loses its guest when a background snapshot fails, and '%s' could: only 'raw' is "
                            "safe", vs_image_encoding_to_nick (encoding));
  if (can (run, VS_MIGRATION_BACKGROUND, &local))
    return NULL;
  if (strstr (local->message, "host kernel") == NULL)
    return g_strdup (local->message);
  return g_strdup ("QEMU may not use userfaultfd here; 'sysctl vm.unprivileged_userfaultfd=1' lets it, or, from QEMU 8.1 "
                   "on, access to /dev/userfaultfd: see vmsnapd(8)");
}

/* QEMU 7.2 without KVM misses some of what the guest writes meanwhile, and nothing tells: the guest that is loaded panics.
 * Seen after five rounds, of bare QEMU, too; with 10.0 not after 75. */
static gboolean
can_precopy (VsRun *run, GError **error)
{
  if (vs_memory_mode_is_fragile (run) && vs_run_get_def (run)->type == VS_DOMAIN_TYPE_QEMU)
    {
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                           "this QEMU, without KVM, misses some of what a guest writes while its memory is written");
      return FALSE;
    }
  return can (run, VS_MIGRATION_PRECOPY, error);
}

static gboolean
set_mode (VsRun *run, VsMemoryMode mode, const char *why, GError **error)
{
  if (mode == VS_MEMORY_PAUSED && vs_run_get_flag (run, FACT_LIVE) && vs_run_get_flag (run, FACT_RUNNING))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "%s would have to stand still while its memory is written: %s. Leave 'live' out to allow that",
                   vs_run_get_def (run)->name, why);
      return FALSE;
    }
  vs_run_set_string (run, FACT_MEMORY_MODE, names[mode]);
  vs_run_set_string (run, FACT_MODE_REASON, why);
  return TRUE;
}

/**
 * vs_memory_mode_fall_back:
 * @run: a run with a guest
 * @why: why not in the background; in words
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED: the caller won't have what is left
 *
 * Chooses the best of the other modes.
 *
 * Returns: whether there is one
 */
gboolean
vs_memory_mode_fall_back (VsRun *run, const char *why, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *both = NULL;

  if (!vs_run_get_flag (run, FACT_RUNNING))
    return set_mode (run, VS_MEMORY_PAUSED, why, error);
  if (can_precopy (run, &local))
    return set_mode (run, VS_MEMORY_PRECOPY, why, error);
  both = g_strdup_printf ("%s; and %s", why, local->message);
  return set_mode (run, VS_MEMORY_PAUSED, both, error);
}

/**
 * vs_memory_mode_choose:
 * @run: a run with a guest of which is known whether it runs
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED: the caller won't have what is left
 *
 * Chooses the mode that stops the guest least.
 *
 * Returns: whether there is one
 */
gboolean
vs_memory_mode_choose (VsRun *run, GError **error)
{
  g_autofree char *obstacle = NULL;

  if (vs_run_get_flag (run, FACT_PAUSE))
    return set_mode (run, VS_MEMORY_PAUSED, "as it was asked for", error);
  if (!vs_run_get_flag (run, FACT_RUNNING) && vs_memory_mode_is_fragile (run))
    return set_mode (run, VS_MEMORY_PAUSED, "the guest was paused already", error);
  obstacle = find_obstacle (run);
  if (obstacle != NULL)
    return vs_memory_mode_fall_back (run, obstacle, error);
  return set_mode (run, VS_MEMORY_BACKGROUND, "the guest runs on while its memory is written", error);
}
