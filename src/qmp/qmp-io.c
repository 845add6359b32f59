/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The process's one thread for monitor I/O: started when first needed, it runs its own main context for ever. Nothing
 * that runs in it may wait. Any thread may call the functions here.
 */
#include "qmp-io.h"

static GMainContext *io_context;
static GThread *io_thread;

static gpointer
run (gpointer data)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (io_context, FALSE);

  g_main_context_push_thread_default (io_context);
  g_main_loop_run (loop);
  return NULL;
}

static void
start (void)
{
  static gsize started = 0;

  if (!g_once_init_enter (&started))
    return;
  io_context = g_main_context_new ();
  io_thread = g_thread_new ("qmp-io", run, NULL);
  g_once_init_leave (&started, 1);
}

/**
 * qmp_io_get_context:
 *
 * Returns: (transfer none): the I/O thread's main context
 */
GMainContext *
qmp_io_get_context (void)
{
  start ();
  return io_context;
}

/**
 * qmp_io_is_this_thread:
 *
 * Returns: whether the caller runs in the I/O thread, where it mustn't wait
 */
gboolean
qmp_io_is_this_thread (void)
{
  start ();
  return g_thread_self () == io_thread;
}

/**
 * qmp_io_invoke:
 * @func: what to do; it is called again for as long as it returns %G_SOURCE_CONTINUE
 * @data: its data
 * @destroy: (nullable): frees @data afterwards, in the I/O thread
 *
 * Has @func called in the I/O thread, never before this function returns if called there. What one thread asks for is
 * done in the order in which it asked.
 */
void
qmp_io_invoke (GSourceFunc func, gpointer data, GDestroyNotify destroy)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, destroy);
  g_source_attach (source, qmp_io_get_context ());
}
