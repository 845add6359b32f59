/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A writer on the file system that init mounted at /data, in a thread of its
 * own: it stands still while the guest agent has the file system frozen, and
 * the rest of the witness goes on. Before each write the file must hold what
 * was written last.
 */

#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int data_fd = -1;
static atomic_ullong counter;
static atomic_ullong bad;
static unsigned char buffer[BLOCK] __attribute__ ((aligned (BLOCK)));

static void *
datafile_thread (void *unused)
{
  const struct timespec pause = { 0, 2000000 };

  (void)unused;
  for (;;)
    {
      uint64_t n = counter;

      if (pread (data_fd, buffer, BLOCK, 0) == BLOCK && memcmp (buffer, &n, sizeof n) != 0)
        bad++;
      n++;
      memcpy (buffer, &n, sizeof n);
      if (pwrite (data_fd, buffer, BLOCK, 0) == BLOCK)
        counter = n;
      nanosleep (&pause, NULL);
    }
  return NULL;
}

bool
datafile_start (void)
{
  struct stat data, root;
  pthread_t thread;

  if (stat ("/data", &data) < 0 || stat ("/", &root) < 0 || data.st_dev == root.st_dev)
    return false;
  data_fd = open ("/data/witness", O_RDWR | O_CREAT | O_DIRECT | O_DSYNC | O_CLOEXEC, 0644);
  if (data_fd < 0)
    return false;
  memset (buffer, 0, sizeof buffer);
  if (pwrite (data_fd, buffer, BLOCK, 0) != BLOCK || pthread_create (&thread, NULL, datafile_thread, NULL) != 0)
    {
      close (data_fd);
      data_fd = -1;
    }
  return data_fd >= 0;
}

bool
datafile_present (void)
{
  return data_fd >= 0;
}

uint64_t
datafile_counter (void)
{
  return counter;
}

uint64_t
datafile_bad (void)
{
  return bad;
}
