/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The disk graph over real images: what depends on what, whatever it is called, and what may be written or removed. And
 * the records of the files that the service made.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-disk-graph.h"
#include "vs-engine-private.h"
#include "vs-frozen-file.h"
#include "vs-own-files.h"

#define WEB "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a01"
#define MAIL "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a02"

static const VsWorkflow *const no_workflows[] = { NULL };

typedef struct
{
  char *dir;
  VsStore *store;
  VsEngine *engine;
  VsDomain *web;
} Fixture;

static void
run (Fixture *f, const char *script)
{
  const char *argv[] = { "/bin/sh", "-euc", script, NULL };
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (f->dir, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
}

static char *
at (Fixture *f, const char *file)
{
  return g_build_filename (f->dir, file, NULL);
}

static VsDomainDef *
make_def (Fixture *f, const char *uuid, const char *name, const char *file, const char *format)
{
  g_autofree char *path = at (f, file);
  g_autofree char *xml = g_strdup_printf (
    "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
    "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'>"
    "<driver name='qemu' type='%s'/><source file='%s'/><target dev='vda' bus='virtio'/></disk></devices></domain>",
    name, uuid, format, path);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

static VsDomain *
add_domain (Fixture *f, const char *uuid, const char *name, const char *file, const char *format)
{
  g_autoptr (VsDomainDef) def = make_def (f, uuid, name, file, format);
  g_autoptr (VsDomain) domain = vs_domain_new (f->store, def, TRUE);

  vs_engine_add_domain (f->engine, domain);
  return domain;
}

static void
add_snapshot (Fixture *f,
              VsDomain *domain,
              const char *name,
              VmSnapLocation location,
              const char *file,
              const char *format)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_new (name);
  g_autoptr (VsSnapshot) snapshot = NULL;

  def->domain = make_def (f, vs_domain_get_uuid (domain), vs_domain_get_name (domain), file, format);
  vs_snapshot_def_add_disk (def, "vda", location, location == VMSNAP_LOCATION_EXTERNAL ? "/overlay" : NULL, NULL);
  snapshot = vs_snapshot_new (vs_domain_get_uuid (domain), def);
  vs_domain_add_snapshot (domain, snapshot);
}

/* base ← middle ← top, which is web's disk; beside: another branch over middle; base was frozen by `first`, middle by
 * `second`. */
static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *state = NULL;
  g_autofree char *runtime = NULL;
  g_autofree char *log = NULL;

  f->dir = g_dir_make_tmp ("vmsnap-graph-XXXXXX", NULL);
  state = at (f, "state");
  runtime = at (f, "run");
  log = at (f, "log");
  f->store = vs_store_new (state, runtime, log);
  g_assert_true (vs_store_prepare (f->store, NULL));
  f->engine = vs_engine_new (f->store, "/nonexistent", no_workflows);
  run (f, "qemu-img create -q -f qcow2 base 16M; qemu-img create -q -f qcow2 -F qcow2 -b base middle;"
          "qemu-img create -q -f qcow2 -F qcow2 -b \"$PWD/middle\" top;"
          "qemu-img create -q -f qcow2 -F qcow2 -b middle beside; truncate -s 1M raw");
  f->web = add_domain (f, WEB, "web", "top", "qcow2");
  add_snapshot (f, f->web, "first", VMSNAP_LOCATION_EXTERNAL, "base", "qcow2");
  add_snapshot (f, f->web, "second", VMSNAP_LOCATION_EXTERNAL, "middle", "qcow2");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  run (f, "rm -rf \"$PWD\"");
  g_free (f->dir);
  g_object_unref (f->engine);
  g_object_unref (f->store);
}

static VsDiskGraph *
look (Fixture *f)
{
  g_autoptr (VsDiskGraph) graph = vs_disk_graph_collect (f->engine);
  g_autoptr (GError) error = NULL;

  vs_disk_graph_look (graph, NULL, &error);
  g_assert_no_error (error);
  return g_steal_pointer (&graph);
}

static VsGraphFile *
find (Fixture *f, VsDiskGraph *graph, const char *name)
{
  g_autofree char *path = at (f, name);
  VsGraphFile *file = vs_disk_graph_find (graph, path);

  g_assert_nonnull (file);
  return file;
}

static void
own (Fixture *f, const char *file)
{
  g_autofree char *path = at (f, file);
  g_autoptr (GError) error = NULL;

  vs_own_files_add (f->store, WEB, path, &error);
  g_assert_no_error (error);
}

static void
assert_words (const char *text, const char *words)
{
  if (text == NULL || strstr (text, words) == NULL)
    g_error ("'%s' is not in '%s'", words, text != NULL ? text : "(nothing)");
}

/* @words: NULL: it may be written */
static void
check_writable (Fixture *f, const char *file, const char *uuid, const char *words)
{
  g_autoptr (VsDiskGraph) graph = look (f);
  g_autofree char *path = at (f, file);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (vs_disk_graph_check_writable (graph, path, uuid, &error), ==, words == NULL);
  if (words == NULL)
    return;
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
  assert_words (error->message, words);
}

static void
check_removable (Fixture *f, const char *file, const char *words)
{
  g_autoptr (VsDiskGraph) graph = look (f);
  g_autofree char *path = at (f, file);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (vs_disk_graph_check_removable (graph, path, &error), ==, words == NULL);
  if (words == NULL)
    return;
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
  assert_words (error->message, words);
}

static void
test_chain (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = look (f);
  VsGraphFile *top = find (f, graph, "top");
  VsGraphFile *middle = find (f, graph, "middle");
  VsGraphFile *base = find (f, graph, "base");
  const VsUse *use;

  g_assert_true (vs_disk_graph_get_backing (graph, top) == middle);
  g_assert_true (vs_disk_graph_get_backing (graph, middle) == base);
  g_assert_null (vs_disk_graph_get_backing (graph, base));
  g_assert_cmpstr (middle->backing_path, ==, base->path);
  g_assert_cmpuint (base->virtual_size, ==, 16 * 1024 * 1024);
  g_assert_cmpstr (base->format, ==, "qcow2");
  g_assert_null (vs_disk_graph_find_problem (graph, top));
  g_assert_cmpuint (top->uses->len, ==, 1);
  use = g_ptr_array_index (top->uses, 0);
  g_assert_cmpint (use->kind, ==, VS_USE_ACTIVE);
  g_assert_cmpstr (use->target, ==, "vda");
  g_assert_cmpuint (top->dependents->len, ==, 0);
  g_assert_cmpuint (base->dependents->len, ==, 1);
  g_assert_true (g_ptr_array_index (base->dependents, 0) == middle);
  use = g_ptr_array_index (base->uses, 0);
  g_assert_cmpint (use->kind, ==, VS_USE_FROZEN);
  g_assert_cmpstr (use->snapshot, ==, "first");
}

static void
test_branch (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  own (f, "beside");
  graph = look (f);
  g_assert_cmpuint (find (f, graph, "middle")->dependents->len, ==, 2);
  g_assert_true (vs_disk_graph_is_needed (graph, find (f, graph, "middle"), WEB, "second"));
  g_assert_false (vs_disk_graph_is_needed (graph, find (f, graph, "beside"), WEB, NULL));
  g_assert_true (vs_disk_graph_is_needed (graph, find (f, graph, "top"), WEB, NULL));
}

static void
test_excepted_snapshot (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  run (f, "cp base lone");
  add_snapshot (f, f->web, "third", VMSNAP_LOCATION_EXTERNAL, "lone", "qcow2");
  graph = look (f);
  g_assert_true (vs_disk_graph_is_needed (graph, find (f, graph, "lone"), WEB, NULL));
  g_assert_true (vs_disk_graph_is_needed (graph, find (f, graph, "lone"), WEB, "first"));
  g_assert_true (vs_disk_graph_is_needed (graph, find (f, graph, "lone"), MAIL, "third"));
  g_assert_false (vs_disk_graph_is_needed (graph, find (f, graph, "lone"), WEB, "third"));
}

static void
test_missing (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  VsGraphFile *base;

  run (f, "rm base");
  graph = look (f);
  base = find (f, graph, "base");
  g_assert_null (base->id);
  assert_words (base->problem, "/base");
  assert_words (base->problem, "the snapshot 'first' of web");
  g_assert_cmpuint (base->dependents->len, ==, 1);
  g_assert_null (find (f, graph, "top")->problem);
  assert_words (vs_disk_graph_find_problem (graph, find (f, graph, "top")), "/base");
}

static void
test_not_an_image (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  run (f, "cp raw base; rm middle; mkdir middle");
  graph = look (f);
  assert_words (find (f, graph, "base")->problem, "has no qcow2 header");
  assert_words (find (f, graph, "middle")->problem, "a directory");
}

static void
test_foreign_is_not_ours (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  own (f, "beside");
  check_removable (f, "beside", NULL);
  run (f, "cp beside copy; mv copy beside");
  graph = look (f);
  g_assert_false (find (f, graph, "beside")->is_ours);
  check_removable (f, "beside", "not a file that this service made");
}

static void
test_circle (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  VsGraphFile *file;
  guint length = 0;

  run (f, "ln middle again; qemu-img rebase -u -f qcow2 -F qcow2 -b again base");
  graph = look (f);
  for (file = find (f, graph, "top"); file != NULL; file = vs_disk_graph_get_backing (graph, file))
    g_assert_cmpuint (++length, <=, 3);
  assert_words (vs_disk_graph_find_problem (graph, find (f, graph, "top")), "circle");
  check_removable (f, "middle", "not a file");
}

static void
test_raw_base (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  VsGraphFile *raw;

  run (f, "qemu-img create -q -f qcow2 -F raw -b raw over");
  add_domain (f, MAIL, "mail", "over", "qcow2");
  graph = look (f);
  raw = find (f, graph, "raw");
  g_assert_cmpstr (raw->format, ==, "raw");
  g_assert_cmpuint (raw->virtual_size, ==, 1024 * 1024);
  g_assert_null (raw->backing_path);
  check_writable (f, "raw", MAIL, "/over");
}

/* What a guest wrote at the start of its raw disk is no header. */
static void
test_raw_is_not_followed (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  run (f, "qemu-img create -q -f qcow2 -u -F raw -b /elsewhere fake 1M");
  add_domain (f, MAIL, "mail", "fake", "raw");
  graph = look (f);
  assert_words (find (f, graph, "fake")->problem, "said to be raw");
  g_assert_null (find (f, graph, "fake")->backing_path);
}

static void
test_other_names (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  run (f, "ln middle hard; mkdir d; ln -s ../middle d/soft");
  add_domain (f, MAIL, "mail", "hard", "qcow2");
  graph = look (f);
  g_assert_true (find (f, graph, "hard") == find (f, graph, "middle"));
  g_assert_true (find (f, graph, "d/soft") == find (f, graph, "middle"));
  g_assert_true (find (f, graph, "./d/../middle") == find (f, graph, "middle"));
  check_writable (f, "hard", MAIL, "'second' of web is kept in it");
  check_writable (f, "d/soft", MAIL, "'second' of web is kept in it");
}

static void
test_tags (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  VsGraphFile *top;
  const VsUse *use;

  add_snapshot (f, f->web, "tagged", VMSNAP_LOCATION_INTERNAL, "top", "qcow2");
  graph = look (f);
  top = find (f, graph, "top");
  g_assert_cmpuint (top->uses->len, ==, 2);
  use = g_ptr_array_index (top->uses, 1);
  g_assert_cmpint (use->kind, ==, VS_USE_TAG);
  g_assert_cmpstr (use->tag, ==, "tagged");
  check_writable (f, "top", WEB, NULL);
  own (f, "top");
  check_removable (f, "top", "it is disk vda of web");
}

static void
test_writable (Fixture *f, gconstpointer data)
{
  check_writable (f, "top", WEB, NULL);
  check_writable (f, "top", MAIL, "it is disk vda of web");
  check_writable (f, "base", WEB, "'first' of web is kept in it");
  check_writable (f, "raw", WEB, NULL);
}

static void
test_dependents_keep_from_writing (Fixture *f, gconstpointer data)
{
  run (f, "qemu-img create -q -f qcow2 -F qcow2 -b top above");
  add_domain (f, MAIL, "mail", "above", "qcow2");
  check_writable (f, "top", WEB, "it is the backing file of");
}

static void
test_removable (Fixture *f, gconstpointer data)
{
  g_autofree char *middle = at (f, "middle");

  check_removable (f, "raw", "not a file that this service made");
  own (f, "middle");
  check_removable (f, "middle", "'second' of web is kept in it");
  vs_domain_remove_snapshot (f->web, vs_domain_get_snapshot (f->web, "second"));
  g_assert_true (vs_own_files_set_left (f->store, WEB, middle, TRUE, NULL));
  check_removable (f, "middle", "it is the backing file of");
  run (f, "qemu-img rebase -u -f qcow2 -F qcow2 -b base top");
  check_removable (f, "middle", NULL);
}

/* A transient domain is gone; its snapshots wait for one of its uuid. */
static void
test_records_of_an_absent_domain (Fixture *f, gconstpointer data)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_new ("absent");
  g_autofree char *text = NULL;

  def->domain = make_def (f, MAIL, "mail", "raw", "raw");
  vs_snapshot_def_add_disk (def, "vda", VMSNAP_LOCATION_EXTERNAL, "/overlay", "qcow2");
  text = vs_snapshot_def_format (def);
  g_assert_true (vs_store_write (f->store, MAIL, "snapshots", "absent.xml", text, -1, NULL));
  check_writable (f, "raw", WEB, "'absent' of mail is kept in it");
}

static void
test_deep (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  VsGraphFile *file;
  guint length = 0;

  run (f, "cp base 0; for i in $(seq 1 150); do"
          "  cp middle $i; qemu-img rebase -u -f qcow2 -F qcow2 -b $((i - 1)) $i;"
          "done");
  add_domain (f, MAIL, "mail", "150", "qcow2");
  graph = look (f);
  for (file = find (f, graph, "150"); file != NULL; file = vs_disk_graph_get_backing (graph, file))
    length++;
  g_assert_cmpuint (length, ==, 151);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = vs_disk_graph_collect (f->engine);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (vs_disk_graph_look (graph, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

/* The first snapshot's record says what base is. */
static void
note_base (Fixture *f, const char *name, const char *file)
{
  g_autofree char *path = at (f, file);
  g_autofree char *base = at (f, "base");
  VsSnapshot *snapshot = vs_domain_get_snapshot (f->web, name);
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_copy (vs_snapshot_get_def (snapshot));
  VsDiskFile is = { .path = path, .virtual_size = 16 * 1024 * 1024 };
  g_autofree char *text = NULL;
  g_autoptr (VsSnapshotDef) read = NULL;
  g_autoptr (GError) error = NULL;

  vs_frozen_file_note (def, "vda", &is, g_str_equal (file, "base") ? NULL : base);
  text = vs_snapshot_def_format (def);
  read = vs_snapshot_def_parse (text, VS_DOMAIN_DEF_NONE, &error);
  g_assert_no_error (error);
  vs_snapshot_set_def (snapshot, read);
}

/* What a snapshot says of its disk after a look, @words or nothing. */
static void
check_problem (Fixture *f, const char *snapshot, const char *words)
{
  g_autoptr (VsDiskGraph) graph = look (f);
  const char *problem;

  while (g_main_context_iteration (NULL, FALSE))
    ;
  problem = vs_snapshot_get_problem (vs_domain_get_snapshot (f->web, snapshot), "vda");
  if (words == NULL)
    g_assert_cmpstr (problem, ==, NULL);
  else
    assert_words (problem, words);
}

static void
test_foreign_files (Fixture *f, gconstpointer data)
{
  note_base (f, "first", "base");
  note_base (f, "second", "middle");
  run (f, "cp base base.good; cp middle middle.good");
  check_problem (f, "first", NULL);
  check_problem (f, "second", NULL);

  run (f, "qemu-img create -q -f qcow2 base 15M");
  check_problem (f, "first", "its virtual size is 15728640, and was 16777216 bytes");
  check_problem (f, "second", "/base is not the file in which the snapshot 'first' of web keeps disk vda");
  run (f, "qemu-img create -q -f raw base 16M");
  check_problem (f, "first", "has no qcow2 header");
  run (f, "truncate -s 16M stranger; qemu-img create -q -f qcow2 -F raw -b \"$PWD/stranger\" base");
  check_problem (f, "first", "its backing file is ");
  run (f, "cp base.good base");
  check_problem (f, "first", NULL);

  run (f, "qemu-img create -q -f qcow2 middle 16M");
  check_problem (f, "second", "its backing file is none, and was ");
  check_problem (f, "first", NULL);
  run (f, "rm middle");
  check_problem (f, "second", "/middle");
  run (f, "cp middle.good middle");
  check_problem (f, "second", NULL);
}

/* What stood on a file that was merged away stands on the next one, and no stranger did that. */
static void
test_merged_files_are_not_foreign (Fixture *f, gconstpointer data)
{
  note_base (f, "first", "base");
  note_base (f, "second", "middle");
  run (f, "qemu-img convert -O qcow2 middle alone; mv alone middle; rm base");
  vs_domain_remove_snapshot (f->web, vs_domain_get_snapshot (f->web, "first"));
  check_problem (f, "second", NULL);
}

static void
test_broken_facts_say_nothing (Fixture *f, gconstpointer data)
{
  static const char *const values[]
    = { "", "{", "[]", "7", "{}", "{\"path\": 3}", "{\"path\": {}, \"size\": []}", "{\"path\": \"/x\", \"size\": 1}" };
  VsSnapshot *first = vs_domain_get_snapshot (f->web, "first");

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr (VsSnapshotDef) def = vs_snapshot_def_copy (vs_snapshot_get_def (first));

      vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_FILE_PREFIX "vda", values[i]);
      vs_snapshot_set_def (first, def);
      check_problem (f, "first", NULL);
    }
}

static void
check_identified (Fixture *f,
                  gboolean (*check) (VsDiskGraph *, const char *, GError **),
                  const char *file,
                  int code,
                  const char *words)
{
  g_autoptr (VsDiskGraph) graph = vs_disk_graph_collect (f->engine);
  g_autofree char *path = at (f, file);
  g_autoptr (GError) error = NULL;

  g_assert_true (vs_disk_graph_identify (graph, NULL, NULL));
  g_assert_cmpint (check (graph, path, &error), ==, words == NULL);
  if (words == NULL)
    return;
  g_assert_error (error, VMSNAP_ERROR, code);
  assert_words (error->message, words);
  assert_words (error->message, path);
}

static void
test_frozen_by_any_name (Fixture *f, gconstpointer data)
{
  run (f, "ln base hard; ln -s base soft; ln -s . d");
  check_identified (f, vs_disk_graph_check_not_frozen, "base", VMSNAP_ERROR_INVALID_STATE, "snapshot 'first' of web");
  check_identified (f, vs_disk_graph_check_not_frozen, "hard", VMSNAP_ERROR_INVALID_STATE, "snapshot 'first' of web");
  check_identified (f, vs_disk_graph_check_not_frozen, "soft", VMSNAP_ERROR_INVALID_STATE, "by another name");
  check_identified (f, vs_disk_graph_check_not_frozen, "d/base", VMSNAP_ERROR_INVALID_STATE, "(/overlay)");
  check_identified (f, vs_disk_graph_check_not_frozen, "top", 0, NULL);
  check_identified (f, vs_disk_graph_check_not_frozen, "beside", 0, NULL);
}

/* A snapshot's file that isn't there is still the snapshot's. */
static void
test_frozen_though_missing (Fixture *f, gconstpointer data)
{
  run (f, "rm base");
  check_identified (f, vs_disk_graph_check_not_frozen, "base", VMSNAP_ERROR_INVALID_STATE, "snapshot 'first' of web");
}

static void
test_collected_tells_by_path (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskGraph) graph = vs_disk_graph_collect (f->engine);
  g_autofree char *base = at (f, "base");
  g_autofree char *hard = at (f, "hard");

  run (f, "ln base hard");
  g_assert_false (vs_disk_graph_check_not_frozen (graph, base, NULL));
  g_assert_true (vs_disk_graph_check_not_frozen (graph, hard, NULL));
}

static void
test_unused (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) chains = vs_engine_probe_chains (vs_domain_get_def (f->web));
  g_autoptr (GPtrArray) none = g_ptr_array_new ();

  vs_domain_set_chains (f->web, chains);
  run (f, "ln top hard");
  check_identified (f, vs_disk_graph_check_unused, "hard", VMSNAP_ERROR_INVALID_ARGUMENT, "is disk vda of web");
  check_identified (f, vs_disk_graph_check_unused, "middle", VMSNAP_ERROR_INVALID_ARGUMENT, "is below disk vda of web");
  vs_domain_set_chains (f->web, none);
  check_identified (f, vs_disk_graph_check_unused, "middle", VMSNAP_ERROR_INVALID_STATE, "snapshot 'second' of web");
  check_identified (f, vs_disk_graph_check_unused, "beside", 0, NULL);
}

static void
test_own_files (Fixture *f, gconstpointer data)
{
  g_autofree char *top = at (f, "top");
  g_autofree char *missing = at (f, "missing");
  g_autofree char *id = vs_disk_file_id (top, NULL);
  g_autofree char *state = at (f, "state");
  g_autoptr (VsStore) later = vs_store_new (state, state, state);
  g_autoptr (GPtrArray) found = NULL;
  g_autoptr (GPtrArray) none = NULL;
  g_autoptr (GError) error = NULL;
  const VsOwnFile *file;

  own (f, "top");
  own (f, "./top");
  g_assert_true (vs_own_files_set_left (f->store, WEB, top, TRUE, NULL));
  found = vs_own_files_list (later, WEB);
  g_assert_cmpuint (found->len, ==, 1);
  file = g_ptr_array_index (found, 0);
  g_assert_cmpstr (file->path, ==, top);
  g_assert_cmpstr (file->id, ==, id);
  g_assert_true (file->left);

  g_assert_false (vs_own_files_add (f->store, WEB, missing, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (vs_own_files_set_left (f->store, WEB, missing, TRUE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);

  g_assert_true (vs_own_files_remove (f->store, WEB, top, NULL));
  g_assert_true (vs_own_files_remove (f->store, WEB, top, NULL));
  none = vs_own_files_list (later, WEB);
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_true (g_file_test (top, G_FILE_TEST_EXISTS));
}

static void
test_torn_own_files (Fixture *f, gconstpointer data)
{
  static const char *const texts[] = { "",
                                       "{",
                                       "[]",
                                       "null",
                                       "{}",
                                       "{\"path\": 3, \"id\": {}}",
                                       "{\"path\": \"top\", \"id\": \"file:1:1:1\"}",
                                       "{\"path\": \"/top\"}" };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GPtrArray) found = NULL;

      g_assert_true (vs_store_write (f->store, WEB, VS_STORE_OWN_FILES, "1.json", texts[i], -1, NULL));
      g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*put aside*");
      found = vs_own_files_list (f->store, WEB);
      g_test_assert_expected_messages ();
      g_assert_cmpuint (found->len, ==, 0);
    }
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/disk-graph/links-and-uses-of-a-chain", test_chain);
  ADD ("/disk-graph/branches-are-dependents", test_branch);
  ADD ("/disk-graph/the-snapshot-that-goes-does-not-count", test_excepted_snapshot);
  ADD ("/disk-graph/missing-file-is-a-problem-by-name", test_missing);
  ADD ("/disk-graph/what-is-no-image-is-a-problem", test_not_an_image);
  ADD ("/disk-graph/foreign-file-in-its-place-is-not-ours", test_foreign_is_not_ours);
  ADD ("/disk-graph/circle-is-cut-and-told", test_circle);
  ADD ("/disk-graph/raw-base", test_raw_base);
  ADD ("/disk-graph/header-in-a-raw-disk-is-not-followed", test_raw_is_not_followed);
  ADD ("/disk-graph/a-file-is-one-by-all-its-names", test_other_names);
  ADD ("/disk-graph/tags-are-uses-and-may-be-written-beside", test_tags);
  ADD ("/disk-graph/only-its-own-disk-is-writable", test_writable);
  ADD ("/disk-graph/what-has-dependents-is-not-writable", test_dependents_keep_from_writing);
  ADD ("/disk-graph/only-ours-and-unneeded-is-removable", test_removable);
  ADD ("/disk-graph/snapshots-of-an-absent-domain-count", test_records_of_an_absent_domain);
  ADD ("/disk-graph/150-files-deep", test_deep);
  ADD ("/disk-graph/looking-can-be-cancelled", test_cancel);
  ADD ("/disk-graph/foreign-file-is-the-snapshots-problem", test_foreign_files);
  ADD ("/disk-graph/merged-files-are-no-problem", test_merged_files_are_not_foreign);
  ADD ("/disk-graph/broken-facts-say-nothing", test_broken_facts_say_nothing);
  ADD ("/disk-graph/frozen-file-is-known-by-any-name", test_frozen_by_any_name);
  ADD ("/disk-graph/frozen-file-that-is-missing-stays-frozen", test_frozen_though_missing);
  ADD ("/disk-graph/without-a-look-paths-tell", test_collected_tells_by_path);
  ADD ("/disk-graph/used-files-are-told-by-whom", test_unused);
  ADD ("/own-files/are-read-as-they-were-written", test_own_files);
  ADD ("/own-files/torn-record-is-put-aside", test_torn_own_files);
  return g_test_run ();
}
