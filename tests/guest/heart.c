/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The guest's heart: where the machine has a port org.vmsnap.heart.0, a thread
 * before all others says a thousand times a second on it how far the guest has
 * come. When the machine is stopped its clocks stand still, too, so only who
 * listens outside can tell for how long it did.
 */

#include "channel.h"
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BEAT_NS 1000000

static Channel port = { .fd = -1 };
static atomic_ullong counter;

static void
next_beat (struct timespec *when)
{
  struct timespec now;

  when->tv_nsec += BEAT_NS;
  if (when->tv_nsec >= 1000000000)
    {
      when->tv_sec++;
      when->tv_nsec -= 1000000000;
    }
  clock_gettime (CLOCK_MONOTONIC, &now);
  /* What was missed isn't made up for: a burst of beats would tell nothing. */
  if (now.tv_sec > when->tv_sec || (now.tv_sec == when->tv_sec && now.tv_nsec > when->tv_nsec))
    *when = now;
}

static void *
heart_thread (void *unused)
{
  struct timespec when;

  (void)unused;
  clock_gettime (CLOCK_MONOTONIC, &when);
  for (;;)
    {
      struct timespec now;
      char text[HEART_BEAT_BYTES + 1];

      clock_gettime (CLOCK_MONOTONIC, &now);
      snprintf (text, sizeof text, "%15llu %11llu %11llu\n",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000,
                (unsigned long long)counter, (unsigned long long)dirty_written_pages ());
      /* The port does not block: a beat that nobody takes is dropped. */
      (void)!write (port.fd, text, HEART_BEAT_BYTES);
      next_beat (&when);
      clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
    }
  return NULL;
}

/* False: there is no port for it. */
bool
heart_start (void)
{
  const struct sched_param first = { .sched_priority = 10 };
  pthread_t thread;

  channel_open_virtio (&port, "org.vmsnap.heart.0");
  if (port.fd < 0 || pthread_create (&thread, NULL, heart_thread, NULL) != 0)
    return false;
  pthread_setschedparam (thread, SCHED_FIFO, &first);
  return true;
}

/* What the counting loop has come to. */
void
heart_note (uint64_t n)
{
  counter = n;
}
