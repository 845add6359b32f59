/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Emulator binaries: each is asked once what it can do, however many want to know, and asked again when the file has
 * changed. A #VsHypervisor never changes, so any thread may use it; getting one may wait, so workers do that.
 */
#include "vs-hypervisor.h"

#include "vmsnap-error.h"
#include "vs-hypervisor-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PROBE_TIMEOUT (10 * G_USEC_PER_SEC)

/* How many machine types an error names. */
#define MAX_SUGGESTIONS 3

struct _VsHypervisor
{
  GObject parent_instance;

  char *path;
  VsHypervisorFacts *facts;
};

G_DEFINE_FINAL_TYPE (VsHypervisor, vs_hypervisor, G_TYPE_OBJECT)

/* One binary in the cache: being asked (neither is set), answered, or failed. */
typedef struct
{
  gatomicrefcount ref_count;
  VsHypervisor *hypervisor;
  GError *error;
} Entry;

static GMutex lock;
static GCond changed;
static GHashTable *entries; /* key_for_file() → Entry */
static gint64 probe_timeout = DEFAULT_PROBE_TIMEOUT;

static void
vs_hypervisor_finalize (GObject *object)
{
  VsHypervisor *self = VS_HYPERVISOR (object);

  g_free (self->path);
  vs_hypervisor_facts_free (self->facts);
  G_OBJECT_CLASS (vs_hypervisor_parent_class)->finalize (object);
}

static void
vs_hypervisor_class_init (VsHypervisorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vs_hypervisor_finalize;
}

static void
vs_hypervisor_init (VsHypervisor *self)
{
}

static void
entry_unref (Entry *entry)
{
  if (!g_atomic_ref_count_dec (&entry->ref_count))
    return;
  g_clear_object (&entry->hypervisor);
  g_clear_error (&entry->error);
  g_free (entry);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Entry, entry_unref)

static Entry *
entry_ref (Entry *entry)
{
  g_atomic_ref_count_inc (&entry->ref_count);
  return entry;
}

static char *
resolve_path (const char *path, GError **error)
{
  char *resolved = g_find_program_in_path (path);

  if (resolved != NULL)
    return resolved;
  if (g_path_is_absolute (path) && g_file_test (path, G_FILE_TEST_EXISTS))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s is not a program that can be run", path);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "The emulator %s isn't there. Install QEMU (Debian: the package qemu-system-x86), or name another",
                 path);
  return NULL;
}

/* What makes two looks at a path be of one binary. */
static char *
key_for_file (const char *path, GError **error)
{
  struct stat st;

  if (stat (path, &st) == 0)
    return g_strdup_printf ("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT ".%ld %" G_GINT64_FORMAT,
                            path, (guint64)st.st_dev, (guint64)st.st_ino, (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                            (gint64)st.st_size);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "The emulator %s can't be found: %s", path,
               g_strerror (errno));
  return NULL;
}

static void
wake_waiters (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);

  g_cond_broadcast (&changed);
}

/* Until the thread that probes has an answer: which it has, at the latest, when its time is over. */
static void
wait_for_answer (Entry *entry, GCancellable *cancellable)
{
  gulong handler = cancellable ? g_cancellable_connect (cancellable, G_CALLBACK (wake_waiters), NULL, NULL) : 0;

  g_mutex_lock (&lock);
  while (entry->hypervisor == NULL && entry->error == NULL && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait (&changed, &lock);
  g_mutex_unlock (&lock);
  g_cancellable_disconnect (cancellable, handler);
}

static void
probe (Entry *entry, const char *key, const char *path, GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  VsHypervisorFacts *facts = vs_hypervisor_probe (path, probe_timeout, cancellable, &error);
  VsHypervisor *self = NULL;

  if (facts != NULL)
    {
      self = g_object_new (VS_TYPE_HYPERVISOR, NULL);
      self->path = g_strdup (path);
      self->facts = facts;
    }
  g_mutex_lock (&lock);
  entry->hypervisor = self;
  entry->error = g_steal_pointer (&error);
  /* A failure is for those who waited; the next one tries again. */
  if (self == NULL)
    g_hash_table_remove (entries, key);
  g_cond_broadcast (&changed);
  g_mutex_unlock (&lock);
}

/* The entry, and whether it is ours to fill. */
static Entry *
find_entry (const char *key, gboolean *is_new)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);
  Entry *entry;

  if (entries == NULL)
    entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)entry_unref);
  entry = g_hash_table_lookup (entries, key);
  *is_new = entry == NULL;
  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      g_atomic_ref_count_init (&entry->ref_count);
      g_hash_table_insert (entries, g_strdup (key), entry);
    }
  return entry_ref (entry);
}

/**
 * vs_hypervisor_get:
 * @path: an emulator: an absolute path, or a name to look for in PATH
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is none, %VMSNAP_ERROR_HYPERVISOR when it ends or isn't QEMU, with its
 *   last words, %VMSNAP_ERROR_TIMEOUT when it doesn't answer
 *
 * What an emulator is and can do. It is asked the first time, and when the file has changed. (Of a wrapper script this
 * notices changes of the script only.)
 *
 * Returns: (transfer full): the emulator
 */
VsHypervisor *
vs_hypervisor_get (const char *path, GCancellable *cancellable, GError **error)
{
  g_autofree char *resolved = resolve_path (path, error);
  g_autofree char *key = resolved != NULL ? key_for_file (resolved, error) : NULL;

  if (key == NULL)
    return NULL;
  for (;;)
    {
      gboolean is_new;
      g_autoptr (Entry) entry = find_entry (key, &is_new);

      if (is_new)
        probe (entry, key, resolved, cancellable);
      else
        wait_for_answer (entry, cancellable);

      if (!is_new && g_cancellable_is_cancelled (cancellable))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while asking %s what it can do", path);
          return NULL;
        }
      if (entry->hypervisor != NULL)
        return g_object_ref (entry->hypervisor);
      /* Whom somebody else's cancel hit asks again. */
      if (is_new || !g_error_matches (entry->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
        {
          g_propagate_error (error, g_error_copy (entry->error));
          return NULL;
        }
    }
}

/**
 * vs_hypervisor_set_probe_timeout:
 * @timeout: in microseconds; 0: the default, 10 seconds
 *
 * How long an emulator may take to say what it can do. For tests, before anything else runs.
 */
void
vs_hypervisor_set_probe_timeout (gint64 timeout)
{
  probe_timeout = timeout > 0 ? timeout : DEFAULT_PROBE_TIMEOUT;
}

/**
 * vs_hypervisor_get_path:
 * @hypervisor: an emulator
 *
 * Returns: (transfer none): its absolute path
 */
const char *
vs_hypervisor_get_path (VsHypervisor *hypervisor)
{
  return hypervisor->path;
}

/**
 * vs_hypervisor_get_version:
 * @hypervisor: an emulator
 *
 * Returns: (transfer none): its version, for people: `10.0.2`
 */
const char *
vs_hypervisor_get_version (VsHypervisor *hypervisor)
{
  return hypervisor->facts->version;
}

/**
 * vs_hypervisor_get_arch:
 * @hypervisor: an emulator
 *
 * Returns: (transfer none): what it emulates: `x86_64`
 */
const char *
vs_hypervisor_get_arch (VsHypervisor *hypervisor)
{
  return hypervisor->facts->arch;
}

/**
 * vs_hypervisor_get_features:
 * @hypervisor: an emulator
 *
 * Returns: (transfer none) (array zero-terminated=1): what it can do that others can't, sorted
 */
const char *const *
vs_hypervisor_get_features (VsHypervisor *hypervisor)
{
  return (const char *const *)hypervisor->facts->features;
}

/**
 * vs_hypervisor_has:
 * @hypervisor: an emulator
 * @feature: a feature: `background-snapshot`
 *
 * Returns: whether it can do that, here, now
 */
gboolean
vs_hypervisor_has (VsHypervisor *hypervisor, const char *feature)
{
  return g_strv_contains (vs_hypervisor_get_features (hypervisor), feature);
}

/* How many letters in the beginning are the same; versions of one machine differ in the end. */
static gsize
common_prefix (const char *a, const char *b)
{
  gsize n = 0;

  while (a[n] != '\0' && a[n] == b[n])
    n++;
  return n;
}

static char *
suggest_machines (VsHypervisor *self, const char *machine)
{
  GString *text = g_string_new (NULL);
  gsize best = 1;
  guint n = 0;

  for (guint i = 0; i < self->facts->machines->len; i++)
    {
      const VsMachineType *known = g_ptr_array_index (self->facts->machines, i);

      best = MAX (best, common_prefix (known->name, machine));
    }
  for (guint i = 0; i < self->facts->machines->len && n < MAX_SUGGESTIONS; i++)
    {
      const VsMachineType *known = g_ptr_array_index (self->facts->machines, i);

      if (common_prefix (known->name, machine) == best)
        g_string_append_printf (text, "%s%s", n++ > 0 ? ", " : " It has, for instance: ", known->name);
    }
  g_string_append_printf (text, "%s List all with: %s -machine help", n > 0 ? "." : "", self->path);
  return g_string_free (text, FALSE);
}

/**
 * vs_hypervisor_resolve_machine:
 * @hypervisor: an emulator
 * @machine: (nullable): a machine type, versioned (`pc-q35-7.2`) or not (`q35`); %NULL: the default one
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when it has no such machine
 *
 * What is written into a definition, so that a saved guest still finds its machine after QEMU was upgraded.
 *
 * Returns: (transfer full): the versioned machine type
 */
char *
vs_hypervisor_resolve_machine (VsHypervisor *hypervisor, const char *machine, GError **error)
{
  g_autofree char *suggestions = NULL;

  for (guint i = 0; i < hypervisor->facts->machines->len; i++)
    {
      const VsMachineType *known = g_ptr_array_index (hypervisor->facts->machines, i);

      if (machine == NULL ? known->is_default
                          : g_str_equal (machine, known->name) || g_strcmp0 (machine, known->alias) == 0)
        return g_strdup (known->name);
    }
  if (machine == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML,
                   "%s has no default machine type: say which in <os><type machine='…'>", hypervisor->path);
      return NULL;
    }
  suggestions = suggest_machines (hypervisor, machine);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "%s (QEMU %s) has no machine type '%s'.%s",
               hypervisor->path, hypervisor->facts->version, machine, suggestions);
  return NULL;
}

/**
 * vs_hypervisor_find_program:
 * @hypervisor: an emulator
 * @name: a program that comes with QEMU: `qemu-storage-daemon`, `qemu-bridge-helper`
 *
 * Returns: (transfer full) (nullable): its path: beside the emulator, where distributions put QEMU's helpers, or in
 * PATH
 */
char *
vs_hypervisor_find_program (VsHypervisor *hypervisor, const char *name)
{
  static const char *const places[] = { "", "../lib/qemu", "../libexec", "/usr/lib/qemu", "/usr/libexec" };
  g_autofree char *directory = g_path_get_dirname (hypervisor->path);

  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *place = g_canonicalize_filename (places[i], directory);
      g_autofree char *path = g_build_filename (place, name, NULL);
      char *found = g_find_program_in_path (path);

      if (found != NULL)
        return found;
    }
  return g_find_program_in_path (name);
}

/**
 * vs_hypervisor_check_kvm:
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED, with what to do
 *
 * Opens /dev/kvm to see whether we may, and whether it is what it should be.
 *
 * Returns: whether KVM can be used
 */
gboolean
vs_hypervisor_check_kvm (GError **error)
{
  int fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  int errsv = errno;
  int version = fd >= 0 ? ioctl (fd, KVM_GET_API_VERSION, 0) : -1;

  if (fd >= 0)
    close (fd);
  if (version == KVM_API_VERSION)
    return TRUE;
  if (fd >= 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "/dev/kvm doesn't speak KVM's interface %d",
                 KVM_API_VERSION);
  else if (errsv == EACCES || errsv == EPERM)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "KVM can't be used: /dev/kvm is closed to this service's user; add it to the group kvm. "
                 "Without KVM, domains of type 'qemu' run, slowly");
  else
    g_set_error (
      error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
      "KVM can't be used: /dev/kvm: %s. Is virtualization switched on in the firmware, and the kernel's module "
      "kvm_intel or kvm_amd loaded? Without KVM, domains of type 'qemu' run, slowly",
      g_strerror (errsv));
  return FALSE;
}
