/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A look at all files of all disks when the service starts, so that the snapshots tell of those that are missing. It
 * waits on a thread of its own: a file system that never answers keeps nobody from anything.
 */
#include "vs-disk-graph.h"
#include "vs-engine-private.h"

/* So that whoever sees the service come up sees the problems at once, where the disks answer. */
#define PATIENCE_MS 2000

typedef struct
{
  GTask *task; /* NULL: it isn't waited for any more */
  guint timeout;
  VsDiskGraph *graph;
} Look;

static void
stop_waiting (Look *look)
{
  g_autoptr (GTask) task = g_steal_pointer (&look->task);

  if (task == NULL)
    return;
  g_clear_handle_id (&look->timeout, g_source_remove);
  g_task_return_boolean (task, TRUE);
}

static gboolean
on_timeout (gpointer user_data)
{
  Look *look = user_data;

  look->timeout = 0;
  g_message ("The files of the disks are slow to look at; that goes on while the service begins its work");
  stop_waiting (look);
  return G_SOURCE_REMOVE;
}

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Look *look = task_data;

  vs_disk_graph_look (look->graph, NULL, NULL);
  g_task_return_boolean (task, TRUE);
}

/* What was seen has been told before: by the same way, and first. */
static void
on_looked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Look *look = user_data;

  stop_waiting (look);
  vs_disk_graph_free (look->graph);
  g_free (look);
}

/* Returns @task when all was looked at, or a little later than it might have been. Takes @task. */
void
vs_engine_look_at_files (VsEngine *self, GTask *task)
{
  Look *look = g_new0 (Look, 1);
  g_autoptr (GTask) inner = g_task_new (self, NULL, on_looked, look);

  look->task = task;
  look->graph = vs_disk_graph_collect (self);
  look->timeout = g_timeout_add (PATIENCE_MS, on_timeout, look);
  g_task_set_task_data (inner, look, NULL);
  g_task_run_in_thread (inner, look_thread);
}
