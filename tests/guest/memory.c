/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Memory whose content is known, so that pages from different instants show.
 * The small array is touched by the counting loop, one page a round. The large
 * area is dirtied by a thread of its own while somebody asks for it: pass k
 * writes k into each page and finds k - 1 there. The third is filled once, with
 * each page's own number, and stays so: a guest whose memory is in use.
 */

#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#define PAGES 512

static uint64_t *small_area;

static struct
{
  pthread_t thread;
  bool running;
  uint64_t *area;
  size_t pages;
  unsigned mib;
  unsigned mib_per_second; /* 0: as fast as it goes */
  atomic_bool stop;
  atomic_ullong written_pages;
  atomic_ullong bad_pages;
} dirty;

static struct
{
  uint64_t *area;
  size_t pages;
  atomic_size_t filled_pages;
  atomic_bool being_checked;
  atomic_bool checked;
  atomic_ullong bad_pages;
} fill;

static uint64_t *
map_pages (size_t pages)
{
  void *area = mmap (NULL, pages * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

  return area == MAP_FAILED ? NULL : area;
}

static uint64_t *
page (uint64_t *area, size_t index)
{
  return area + index * (BLOCK / sizeof (uint64_t));
}

void
memory_start (void)
{
  small_area = map_pages (PAGES);
}

void
memory_touch (uint64_t n)
{
  *page (small_area, n % PAGES) = n;
}

/* How many pages of the small array are not what n rounds leave. */
uint64_t
memory_count_bad (uint64_t n)
{
  uint64_t bad = 0;

  for (uint64_t i = 0; i < PAGES; i++)
    {
      uint64_t back = (n % PAGES + PAGES - i) % PAGES;

      if (*page (small_area, i) != (back < n ? n - back : 0))
        bad++;
    }
  return bad;
}

static void
keep_to_rate (const struct timespec *start, uint64_t written_pages)
{
  uint64_t target_us = written_pages * BLOCK / 1048576 * 1000000 / dirty.mib_per_second;
  struct timespec until = *start;

  until.tv_sec += (time_t)(target_us / 1000000);
  until.tv_nsec += (long)(target_us % 1000000) * 1000;
  if (until.tv_nsec >= 1000000000)
    {
      until.tv_sec++;
      until.tv_nsec -= 1000000000;
    }
  clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void *
dirty_thread (void *unused)
{
  uint64_t written = 0;
  struct timespec start;

  (void)unused;
  clock_gettime (CLOCK_MONOTONIC, &start);
  for (uint64_t pass = 1; !dirty.stop; pass++)
    for (size_t i = 0; i < dirty.pages && !dirty.stop; i++)
      {
        volatile uint64_t *word = page (dirty.area, i);

        if (*word != pass - 1)
          dirty.bad_pages++;
        *word = pass;
        dirty.written_pages = ++written;
        if (dirty.mib_per_second != 0 && written % 256 == 0)
          keep_to_rate (&start, written);
      }
  return NULL;
}

/* Dirties so many MiB again and again; 0 ends it and gives the memory back. */
bool
dirty_start (unsigned mib, unsigned mib_per_second)
{
  if (dirty.running)
    {
      dirty.stop = true;
      pthread_join (dirty.thread, NULL);
      munmap (dirty.area, dirty.pages * BLOCK);
      dirty.running = false;
      dirty.mib = 0;
    }
  if (mib == 0)
    return true;

  dirty.pages = (size_t)mib * 1048576 / BLOCK;
  dirty.area = map_pages (dirty.pages);
  if (dirty.area == NULL)
    return false;
  dirty.mib = mib;
  dirty.mib_per_second = mib_per_second;
  dirty.stop = false;
  dirty.written_pages = 0;
  dirty.running = pthread_create (&dirty.thread, NULL, dirty_thread, NULL) == 0;
  return dirty.running;
}

unsigned
dirty_mib (void)
{
  return dirty.mib;
}

uint64_t
dirty_bad (void)
{
  return dirty.bad_pages;
}

uint64_t
dirty_written_pages (void)
{
  return dirty.written_pages;
}

uint64_t
dirty_written_mib (void)
{
  return dirty.written_pages * BLOCK / 1048576;
}

static void *
fill_thread (void *unused)
{
  (void)unused;
  for (size_t i = 0; i < fill.pages; i++)
    {
      *page (fill.area, i) = i + 1;
      fill.filled_pages = i + 1;
    }
  return NULL;
}

/* Fills so many MiB, in a thread; once, for it is there to stay. */
bool
fill_start (unsigned mib)
{
  pthread_t thread;

  if (fill.area != NULL)
    return fill.pages == (size_t)mib * 1048576 / BLOCK;

  fill.pages = (size_t)mib * 1048576 / BLOCK;
  fill.area = mmap (NULL, fill.pages * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fill.area == MAP_FAILED)
    fill.area = NULL;
  return fill.area != NULL && pthread_create (&thread, NULL, fill_thread, NULL) == 0;
}

uint64_t
filled_mib (void)
{
  return fill.filled_pages * BLOCK / 1048576;
}

static void *
check_thread (void *unused)
{
  (void)unused;
  for (size_t i = 0; i < fill.filled_pages; i++)
    if (*page (fill.area, i) != i + 1)
      fill.bad_pages++;
  fill.checked = true;
  return NULL;
}

/* Looks at the pages that were filled, in a thread; once. */
bool
fill_check (void)
{
  pthread_t thread;

  if (atomic_exchange (&fill.being_checked, true))
    return true;
  return pthread_create (&thread, NULL, check_thread, NULL) == 0;
}

/* Whether it has come to an end. */
bool
fill_checked (void)
{
  return fill.checked;
}

/* How many pages are not what they were filled with, as far as it has come. */
uint64_t
fill_bad (void)
{
  return fill.bad_pages;
}
