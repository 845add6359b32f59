/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The hand-over from the domain's present guest to the one that was loaded beside it. From the old one's stop to the new
 * one's first instruction nothing is written, synced or asked twice. Threads of runs.
 */
#include "vs-beside-private.h"

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-engine.h"
#include "vs-snapshot-revert.h"
#include "vs-start.h"
#include "vs-steps.h"

#define END_TIMEOUT (15 * G_USEC_PER_SEC)
/* QEMU tells that the guest stands before it flushes the disks, for which nobody waits. */
#define STOP_TIMEOUT (G_USEC_PER_SEC / 4)

/* What is known while it goes on. */
typedef struct
{
  VsGuest *old;      /* NULL: none, or no more */
  VsGuest *next;
  GPtrArray *chains; /* of the new one's disks */
  gboolean ran;      /* the old one runs */
  gboolean run_it;   /* the new one shall */
  gboolean moved;    /* the directories have changed their names */
  gint64 downtime;   /* microseconds */
} HandOver;

static void
hand_over_clear (HandOver *hand)
{
  g_clear_object (&hand->old);
  g_clear_object (&hand->next);
  g_clear_pointer (&hand->chains, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HandOver, hand_over_clear)

static gboolean
is_next (VsRun *run, VsGuest *guest)
{
  return guest != NULL
         && vs_process_get_pid (vs_guest_get_process (guest)) == vs_run_get_int (run, FACT_NEXT_PID);
}

static gboolean
get_present (VsRun *run, gpointer data, GError **error)
{
  VsGuest **guest = data;

  g_set_object (guest, vs_domain_get_guest (vs_run_get_domain (run)));
  return TRUE;
}

/* What a user asked of the old guest meanwhile counts more than what the snapshot says. */
static gboolean
begin (VsRun *run, gpointer data, GError **error)
{
  HandOver *hand = data;
  VsDomain *domain = vs_run_get_domain (run);
  VsWish wish = vs_domain_take_wish (domain);

  g_set_object (&hand->old, vs_domain_get_guest (domain));
  hand->ran = vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_RUNNING;
  hand->run_it = wish == VS_WISH_NONE ? vs_run_get_flag (run, FACT_RUN) : wish == VS_WISH_RUN;
  vs_domain_deafen (domain);
  return TRUE;
}

static gboolean
is_still (QmpClient *client, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonNode) reply = qmp_client_call (client, "query-status", NULL, NULL, &local);

  if (reply == NULL && !g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (reply == NULL || !qmp_json_get_boolean (json_node_get_object (reply), "running", FALSE))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "The present guest can't be stopped");
  return FALSE;
}

static gboolean
stop_old (HandOver *hand, GError **error)
{
  static const char *const events[] = { "STOP", NULL };
  QmpClient *client = hand->old != NULL ? vs_guest_get_client (hand->old) : NULL;
  g_autoptr (QmpWatch) watch = NULL;
  g_autoptr (QmpEvent) event = NULL;

  if (hand->old == NULL || !hand->ran || vs_guest_has_exited (hand->old))
    return TRUE;
  if (client == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "The present guest's QEMU doesn't answer");
      return FALSE;
    }
  watch = qmp_client_watch (client, events);
  qmp_client_send (client, "stop", NULL);
  event = qmp_watch_pop (watch, g_get_monotonic_time () + STOP_TIMEOUT, NULL, NULL);
  return event != NULL || is_still (client, error);
}

static gboolean
swap (VsRun *run, HandOver *hand, GError **error)
{
  g_autofree char *place = vs_guest_directory (vs_store_get_runtime_dir (vs_run_get_store (run)), vs_run_get_uuid (run));
  gint64 began = g_get_monotonic_time ();
  g_autoptr (JsonNode) reply = NULL;

  if (!stop_old (hand, error) || !vs_guest_move (hand->next, place, hand->old, error))
    return FALSE;
  hand->moved = TRUE;
  if (hand->run_it)
    reply = qmp_client_call (vs_guest_get_client (hand->next), "cont", NULL, NULL, error);
  hand->downtime = g_get_monotonic_time () - began;
  return reply != NULL || !hand->run_it;
}

static gboolean
listen_again (VsRun *run, gpointer data, GError **error)
{
  vs_domain_listen_again (vs_run_get_domain (run));
  return TRUE;
}

/* The new guest hasn't taken over, whatever it did: it ends, and the old one goes on. */
static void
swap_back (VsRun *run, HandOver *hand)
{
  g_autofree char *runtime = vs_beside_runtime_dir (run);
  g_autofree char *beside = vs_guest_directory (runtime, vs_run_get_uuid (run));
  g_autoptr (GError) error = NULL;

  if (!vs_guest_end (hand->next, VS_PROCESS_END_KILL, END_TIMEOUT, NULL, &error)
      || (hand->moved && !vs_guest_move (hand->next, beside, hand->old, &error)))
    g_warning ("%s", error->message);
  if (hand->old != NULL && hand->ran && vs_guest_get_client (hand->old) != NULL)
    qmp_client_send (vs_guest_get_client (hand->old), "cont", NULL);
  vs_run_on_main (run, listen_again, NULL, NULL);
}

static gboolean
finish (VsRun *run, gpointer data, GError **error)
{
  HandOver *hand = data;
  VsDomain *domain = vs_run_get_domain (run);

  vs_domain_hand_over (domain, hand->next, vs_run_get_def (run), hand->run_it, VMSNAP_STATE_REASON_FROM_SNAPSHOT);
  vs_domain_set_chains (domain, hand->chains);
  if (hand->old == NULL)
    vs_domain_announce_started (domain);
  vs_job_add_result (vs_run_get_job (run), "downtime", g_variant_new_uint64 ((guint64) hand->downtime));
  return TRUE;
}

/* The new guest, with a monitor that answers. */
static gboolean
find_next (VsRun *run, HandOver *hand, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (VsGuest) found = vs_beside_find (run, &local);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!is_next (run, found) || vs_guest_has_exited (found))
    return TRUE;
  if (vs_guest_get_client (found) == NULL && !vs_guest_connect (found, 0, NULL, error))
    return FALSE;
  hand->next = g_steal_pointer (&found);
  return TRUE;
}

static gboolean
hand_over (VsRun *run, HandOver *hand, GError **error)
{
  gboolean ok;

  hand->chains = vs_start_probe_disks (run, error);
  if (hand->chains == NULL || (vs_run_get_flag (run, FACT_INCOMING) && !vs_steps_take_disks (run, error))
      || !vs_revert_record_quietly (run, error))
    return FALSE;
  vs_steps_hold (run, TRUE);
  vs_run_on_main (run, begin, hand, NULL);
  ok = swap (run, hand, error);
  if (ok)
    vs_run_on_main (run, finish, hand, NULL);
  else
    swap_back (run, hand);
  vs_steps_hold (run, FALSE);
  return ok;
}

/* The old guest is the run's business until it has ended. */
static void
keep_old (VsRun *run, HandOver *hand)
{
  if (hand->old != NULL)
    vs_run_set_tool (run, g_object_ref (hand->old), g_object_unref);
}

/* It died before it could. Where the old guest is still there, that one never noticed; where none is, an earlier life may
 * have let the new one run. */
static gboolean
give_up (VsRun *run, VsGuest *present, GError **error)
{
  if (present == NULL && vs_run_is_recovery (run))
    return vs_revert_record_quietly (run, error);
  vs_run_withdraw_commit (run);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "The new guest of %s ended before it could take over",
               vs_run_get_def (run)->name);
  return FALSE;
}

/**
 * vs_beside_take_over:
 * @run: a run that commits as this begins
 * @error: where to put an error
 *
 * The new guest becomes the domain's, in the state that was asked for, and what it is goes on record. If that fails before
 * it has happened, the commit is withdrawn, and the old guest runs on. May be done again.
 *
 * Returns: whether the domain has the new guest; in a next life also when that has ended since
 */
gboolean
vs_beside_take_over (VsRun *run, GError **error)
{
  g_auto (HandOver) hand = { 0 };
  g_autoptr (VsGuest) present = NULL;

  vs_run_on_main (run, get_present, &present, NULL);
  if (!vs_revert_use_definition (run, FACT_DEFINITION, error))
    return FALSE;
  if (!is_next (run, present))
    {
      if (!find_next (run, &hand, error))
        return FALSE;
      if (hand.next == NULL)
        return give_up (run, present, error);
      vs_run_set_guest (run, hand.next);
      if (!hand_over (run, &hand, error))
        {
          vs_run_withdraw_commit (run);
          return FALSE;
        }
      keep_old (run, &hand);
    }
  return vs_beside_take_variables (run, error)
         && (vs_run_get_monitor (run, NULL) == NULL
             || vs_steps_settle_running (run, hand.next != NULL ? hand.run_it : vs_run_get_flag (run, FACT_RUN),
                                         VMSNAP_STATE_REASON_FROM_SNAPSHOT, error));
}

static gboolean
settle_claims (VsRun *run, gpointer data, GError **error)
{
  vs_engine_settle_beside (vs_run_get_engine (run), vs_run_get_domain (run), TRUE);
  return TRUE;
}

/* Of this life, or of an earlier one. */
static VsGuest *
find_old (VsRun *run, GError **error)
{
  VsGuest *kept = vs_run_get_tool (run);
  g_autoptr (VsGuest) found = kept != NULL ? g_object_ref (kept) : vs_beside_find (run, error);

  return is_next (run, found) ? NULL : g_steal_pointer (&found);
}

/**
 * vs_beside_end_old:
 * @run: a run whose new guest has taken over
 * @error: where to put an error
 *
 * Ends the old guest, which closes its disks, and gives the new one what was its. May be done again.
 *
 * Returns: whether that is done
 */
gboolean
vs_beside_end_old (VsRun *run, GError **error)
{
  g_autofree char *runtime = vs_beside_runtime_dir (run);
  g_autoptr (GError) local = NULL;
  g_autoptr (VsGuest) old = find_old (run, &local);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (old != NULL && !vs_guest_end (old, VS_PROCESS_END_TERM, END_TIMEOUT, NULL, error))
    return FALSE;
  vs_run_set_tool (run, NULL, NULL);
  vs_guest_remove_directory (runtime, vs_run_get_uuid (run));
  vs_beside_take_places (run);
  return vs_run_on_main (run, settle_claims, NULL, error);
}
