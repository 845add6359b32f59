/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Preloaded into QEMU: a host at its worst.
 *
 * VMSNAP_TEST_HOLD_MS: the migration thread is held back for so long right after it has told `active`. What it does next,
 * under QEMU's big lock, is to stop the machine, save the devices and, for a background snapshot, protect the memory: a
 * guest that runs meanwhile is of another instant than its disks. The thread must own no lock then, or others would stand
 * still with it; so its locks are counted, and it is held when it wants the next one after the last was given back.
 *
 * VMSNAP_TEST_ANSWER_MS: each answer of the monitor takes so long.
 *
 * VMSNAP_TEST_NO_USERFAULTFD, if it is set: neither the system call nor the device is there, so no background snapshots.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANSWER "{\"return\":"

static __thread int owned;
static __thread int to_be_held;

static void
pass_time (const char *setting)
{
  const char *value = getenv (setting);
  long ms = value != NULL ? strtol (value, NULL, 10) : 0;
  struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

  while (nanosleep (&left, &left) != 0)
    continue;
}

static int
says (const struct iovec *part, const char *word)
{
  return memmem (part->iov_base, part->iov_len, word, strlen (word)) != NULL;
}

ssize_t
sendmsg (int fd, const struct msghdr *message, int flags)
{
  static ssize_t (*next) (int, const struct msghdr *, int);

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "sendmsg");
  for (size_t i = 0; i < (size_t) message->msg_iovlen; i++)
    {
      const struct iovec *part = &message->msg_iov[i];

      to_be_held |= says (part, "\"MIGRATION\"") && says (part, "\"active\"");
      if (part->iov_len > strlen (ANSWER) && memcmp (part->iov_base, ANSWER, strlen (ANSWER)) == 0)
        pass_time ("VMSNAP_TEST_ANSWER_MS");
    }
  return next (fd, message, flags);
}

int
pthread_mutex_lock (pthread_mutex_t *mutex)
{
  static int (*next) (pthread_mutex_t *);

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "pthread_mutex_lock");
  if (to_be_held && owned == 0)
    {
      to_be_held = 0;
      pass_time ("VMSNAP_TEST_HOLD_MS");
    }
  owned++;
  return next (mutex);
}

int
pthread_mutex_trylock (pthread_mutex_t *mutex)
{
  static int (*next) (pthread_mutex_t *);
  int error;

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "pthread_mutex_trylock");
  error = next (mutex);
  owned += error == 0;
  return error;
}

int
pthread_mutex_unlock (pthread_mutex_t *mutex)
{
  static int (*next) (pthread_mutex_t *);

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "pthread_mutex_unlock");
  owned--;
  return next (mutex);
}

long
syscall (long number, ...)
{
  static long (*next) (long, ...);
  long words[6];
  va_list args;

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "syscall");
  va_start (args, number);
  for (size_t i = 0; i < 6; i++)
    words[i] = va_arg (args, long);
  va_end (args);
  if (number == SYS_userfaultfd && getenv ("VMSNAP_TEST_NO_USERFAULTFD") != NULL)
    {
      errno = ENOSYS;
      return -1;
    }
  return next (number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int
open64 (const char *path, int flags, ...)
{
  static int (*next) (const char *, int, ...);
  mode_t mode = 0;
  va_list args;

  if (next == NULL)
    *(void **) &next = dlsym (RTLD_NEXT, "open64");
  va_start (args, flags);
  if (flags & (O_CREAT | O_TMPFILE))
    mode = va_arg (args, mode_t);
  va_end (args);
  if (strcmp (path, "/dev/userfaultfd") == 0 && getenv ("VMSNAP_TEST_NO_USERFAULTFD") != NULL)
    {
      errno = ENOENT;
      return -1;
    }
  return next (path, flags, mode);
}
