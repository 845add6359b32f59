/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The test guest's one program, its PID 1 once init has loaded the modules.
 *
 * Several hundred times a second it counts one up in RAM, then on the first
 * disk, then on the next, always in this order: so at any instant each disk
 * says n - 1 or n. What the disk says is read back before it is written and
 * compared with what RAM remembers, so a guest that was put together from two
 * instants notices by itself, in its first round. Questions are answered
 * between rounds, where all disks must say exactly n.
 *
 * Lines understood (on channel.h's ports), each answered by one line of JSON;
 * `@ID ` in front comes back as "id":
 *   get                    everything known; disk counters are read from the disks
 *   mark TEXT              keeps TEXT in RAM and on each disk
 *   pause-writing, resume-writing
 *   dirty MIB [MIB_PER_SECOND]   dirties memory; 0 ends it
 *   fill MIB               fills memory, once; `filled-mib` tells how far it is
 *   check-fill             looks at it, once; then `fill-bad` tells how many pages are not what they were filled with
 *   flush-every N          flushes the disks after N writes; 1: each
 *   beat MS                how often `witness N` is printed on the first serial line
 *   poweroff, reboot, panic
 */

#include "channel.h"
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_CHANNELS 2

#ifndef GRND_INSECURE
#define GRND_INSECURE 4
#endif

static struct
{
  uint64_t n;
  char run[RUN_ID_LENGTH + 1];
  char mark[MARK_LENGTH + 1];
  Disk disks[MAX_DISKS];
  size_t n_disks;
  bool writing;
  int serial;
  int power_button;
  uint64_t beat_us;
  uint64_t next_beat_us;
  uint64_t last_round_us;
  uint64_t longest_gap_us;
  Channel channels[N_CHANNELS];
} witness = { .writing = true, .beat_us = 100000, .serial = -1, .power_button = -1 };

static volatile sig_atomic_t end_signal;

static uint64_t
now_us (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void __attribute__ ((format (printf, 1, 2))) say (const char *format, ...)
{
  char text[256];
  va_list args;
  int length;

  va_start (args, format);
  length = vsnprintf (text, sizeof text, format, args);
  va_end (args);
  /* The port does not block: what nobody takes is dropped. */
  if (witness.serial >= 0 && length > 0 && write (witness.serial, text, (size_t)length) < 0)
    return;
}

/* Ends the machine; action is one of LINUX_REBOOT_CMD_*. */
static void __attribute__ ((noreturn)) end (unsigned action, const char *word)
{
  say ("witness %s at %llu\r\n", word, (unsigned long long)witness.n);
  if (witness.serial >= 0)
    fsync (witness.serial);
  sync ();
  umount2 ("/data", MNT_DETACH);
  sync ();
  reboot ((int)action);
  for (;;)
    pause ();
}

/* The replies. */

static void __attribute__ ((format (printf, 2, 3))) append (FILE *out, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vfprintf (out, format, args);
  va_end (args);
}

static void
append_disks (FILE *out)
{
  const char *comma = "";

  append (out, ",\"disks\":{");
  for (size_t i = 0; i < witness.n_disks; i++)
    {
      Disk *disk = &witness.disks[i];
      uint64_t n = 0;

      if (disk_read_counter (disk, witness.run, &n))
        append (out, "%s\"%s\":%llu", comma, disk->name, (unsigned long long)n);
      else
        append (out, "%s\"%s\":null", comma, disk->name);
      comma = ",";
    }
  append (out, "}");
}

static void
append_disk_details (FILE *out)
{
  append (out, ",\"details\":{");
  for (size_t i = 0; i < witness.n_disks; i++)
    {
      const Disk *disk = &witness.disks[i];

      append (out, "%s\"%s\":{\"mark\":\"%s\",\"read-only\":%s,\"inconsistent\":%llu,\"io-errors\":%llu",
              i == 0 ? "" : ",", disk->name, disk->mark, disk->read_only ? "true" : "false",
              (unsigned long long)disk->inconsistent, (unsigned long long)disk->io_errors);
      if (disk->inconsistent > 0)
        append (out, ",\"expected\":%llu,\"seen\":%llu", (unsigned long long)disk->bad_expected,
                (unsigned long long)disk->bad_seen);
      if (disk->found.run[0] != '\0')
        append (out, ",\"found\":{\"run\":\"%s\",\"n\":%llu,\"mark\":\"%s\"}", disk->found.run,
                (unsigned long long)disk->found.n, disk->found.mark);
      append (out, "}");
    }
  append (out, "}");
}

static void
append_state (FILE *out)
{
  uint64_t inconsistent = 0;

  for (size_t i = 0; i < witness.n_disks; i++)
    inconsistent += witness.disks[i].inconsistent;

  append (out, ",\"ram\":%llu,\"run\":\"%s\"", (unsigned long long)witness.n, witness.run);
  append_disks (out);
  append (out, ",\"inconsistent\":%llu,\"memory-bad\":%llu", (unsigned long long)inconsistent,
          (unsigned long long)(memory_count_bad (witness.n) + dirty_bad ()));
  append (out, ",\"mark\":\"%s\",\"writing\":%s", witness.mark, witness.writing ? "true" : "false");
  append (out, ",\"dirty-mib\":%u,\"dirty-written-mib\":%llu", dirty_mib (), (unsigned long long)dirty_written_mib ());
  append (out, ",\"filled-mib\":%llu", (unsigned long long)filled_mib ());
  if (fill_checked ())
    append (out, ",\"fill-bad\":%llu", (unsigned long long)fill_bad ());
  if (datafile_present ())
    append (out, ",\"data\":%llu,\"data-bad\":%llu", (unsigned long long)datafile_counter (),
            (unsigned long long)datafile_bad ());
  append (out, ",\"uptime-us\":%llu,\"longest-gap-us\":%llu", (unsigned long long)now_us (),
          (unsigned long long)witness.longest_gap_us);
  append_disk_details (out);
}

/* The commands. Each returns NULL, or what was wrong. */

static const char *
command_get (FILE *out, const char *argument)
{
  append_state (out);
  witness.longest_gap_us = 0;
  return NULL;
}

static const char *
command_mark (FILE *out, const char *argument)
{
  if (strlen (argument) > MARK_LENGTH)
    return "a mark has at most 120 characters";
  for (const char *c = argument; *c != '\0'; c++)
    if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
      return "mark takes printable ASCII without quotes and backslashes";

  snprintf (witness.mark, sizeof witness.mark, "%s", argument);
  for (size_t i = 0; i < witness.n_disks; i++)
    if (!disk_write_mark (&witness.disks[i], witness.run, witness.n, witness.mark))
      return "the mark could not be written";
  append_state (out);
  return NULL;
}

static const char *
command_pause_writing (FILE *out, const char *argument)
{
  witness.writing = false;
  append_state (out);
  return NULL;
}

static const char *
command_resume_writing (FILE *out, const char *argument)
{
  witness.writing = true;
  append_state (out);
  return NULL;
}

static const char *
command_dirty (FILE *out, const char *argument)
{
  unsigned mib, mib_per_second = 0;

  if (sscanf (argument, "%u %u", &mib, &mib_per_second) < 1)
    return "dirty wants MIB [MIB_PER_SECOND]";
  if (!dirty_start (mib, mib_per_second))
    return "not enough memory";
  append_state (out);
  return NULL;
}

static const char *
command_fill (FILE *out, const char *argument)
{
  unsigned mib;

  if (sscanf (argument, "%u", &mib) != 1 || mib == 0)
    return "fill wants a number of MiB";
  if (!fill_start (mib))
    return "not enough memory, or filled before";
  append_state (out);
  return NULL;
}

static const char *
command_check_fill (FILE *out, const char *argument)
{
  if (!fill_check ())
    return "not enough memory";
  append_state (out);
  return NULL;
}

static const char *
command_flush_every (FILE *out, const char *argument)
{
  unsigned n;

  if (sscanf (argument, "%u", &n) != 1 || n == 0)
    return "flush-every wants a number of writes";
  disks_flush_every (n);
  append_state (out);
  return NULL;
}

static const char *
command_beat (FILE *out, const char *argument)
{
  unsigned ms;

  if (sscanf (argument, "%u", &ms) != 1 || ms == 0)
    return "beat wants a number of milliseconds";
  witness.beat_us = (uint64_t)ms * 1000;
  append (out, ",\"beat\":%u", ms);
  return NULL;
}

static const char *
command_poweroff (FILE *out, const char *argument)
{
  end_signal = SIGUSR2;
  return NULL;
}

static const char *
command_reboot (FILE *out, const char *argument)
{
  end_signal = SIGTERM;
  return NULL;
}

static const char *
command_panic (FILE *out, const char *argument)
{
  int fd = open ("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

  if (fd < 0 || write (fd, "c", 1) != 1)
    return "the kernel has no sysrq-trigger";
  return NULL;
}

static const struct
{
  const char *name;
  bool wants_argument;
  const char *(*run) (FILE *out, const char *argument);
} commands[] = {
  { "get", false, command_get },
  { "mark", true, command_mark },
  { "pause-writing", false, command_pause_writing },
  { "resume-writing", false, command_resume_writing },
  { "dirty", true, command_dirty },
  { "fill", true, command_fill },
  { "check-fill", false, command_check_fill },
  { "flush-every", true, command_flush_every },
  { "beat", true, command_beat },
  { "poweroff", false, command_poweroff },
  { "reboot", false, command_reboot },
  { "panic", false, command_panic },
};

static const char *
run_command (FILE *out, const char *name, const char *argument)
{
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    {
      if (strcmp (commands[i].name, name) != 0)
        continue;
      if (commands[i].wants_argument != (argument != NULL))
        return argument == NULL ? "an argument is wanted" : "no argument is taken";
      return commands[i].run (out, argument);
    }
  return "no such command";
}

static bool
id_is_plain (const char *id)
{
  return id[strspn (id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")] == '\0';
}

static void
handle_line (Channel *channel, char *line)
{
  char *rest = line, *id = NULL, *name, *reply = NULL;
  size_t length = 0;
  const char *error;
  FILE *out;

  if (line[0] == '@')
    id = strsep (&rest, " ") + 1;
  name = strsep (&rest, " ");
  if (name == NULL || (id != NULL && !id_is_plain (id)))
    return;

  out = open_memstream (&reply, &length);
  if (out == NULL)
    return;
  append (out, "{\"id\":\"%s\"", id != NULL ? id : "");
  error = run_command (out, name, rest);
  if (error != NULL)
    append (out, ",\"error\":\"%s\"", error);
  append (out, "}\n");
  fclose (out);
  channel_reply (channel, reply, length);
  free (reply);
}

/* The machine's wishes. */

/* By its name: a keyboard has a power key too. */
static bool
is_power_button (int fd)
{
  char name[64] = "";

  return ioctl (fd, EVIOCGNAME (sizeof name - 1), name) >= 0 && strcmp (name, "Power Button") == 0;
}

static int
open_power_button (void)
{
  for (int i = 0; i < 16; i++)
    {
      char path[32];
      int fd;

      snprintf (path, sizeof path, "/dev/input/event%d", i);
      fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
      if (fd >= 0 && is_power_button (fd))
        return fd;
      if (fd >= 0)
        close (fd);
    }
  return -1;
}

static bool
power_button_was_pressed (void)
{
  struct input_event event;

  while (read (witness.power_button, &event, sizeof event) == sizeof event)
    if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
      return true;
  return false;
}

static void
on_end_signal (int number)
{
  end_signal = number;
}

/* busybox's poweroff, reboot and halt, and so the guest agent, ask PID 1 by these signals. */
static void
obey_signals (void)
{
  switch (end_signal)
    {
    case SIGUSR1:
    case SIGUSR2:
      end (LINUX_REBOOT_CMD_POWER_OFF, "powers off");
    case SIGTERM:
      end (LINUX_REBOOT_CMD_RESTART, "reboots");
    default:
      break;
    }
}

static void
count_once (void)
{
  uint64_t now = now_us ();

  if (witness.last_round_us != 0 && now - witness.last_round_us > witness.longest_gap_us)
    witness.longest_gap_us = now - witness.last_round_us;
  witness.last_round_us = now;

  witness.n++;
  memory_touch (witness.n);
  for (size_t i = 0; i < witness.n_disks; i++)
    disk_check_and_write (&witness.disks[i], witness.run, witness.n);
  heart_note (witness.n);
}

static void
beat (void)
{
  uint64_t now = now_us ();

  if (now < witness.next_beat_us)
    return;
  witness.next_beat_us = now + witness.beat_us;
  say ("witness %llu\r\n", (unsigned long long)witness.n);
}

static void
start (void)
{
  unsigned char random[RUN_ID_LENGTH / 2] = { 0 };
  struct sigaction action = { .sa_handler = on_end_signal };

  /* It is no secret, only different each time: it need not wait for the kernel's first entropy. */
  if (getrandom (random, sizeof random, GRND_INSECURE) != sizeof random)
    say ("witness has no random numbers\r\n");
  for (size_t i = 0; i < sizeof random; i++)
    snprintf (witness.run + 2 * i, 3, "%02x", random[i]);

  sigaction (SIGUSR1, &action, NULL);
  sigaction (SIGUSR2, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  signal (SIGCHLD, SIG_IGN);
  reboot (LINUX_REBOOT_CMD_CAD_OFF);

  witness.serial = serial_open_raw ("/dev/ttyS0");
  memory_start ();
  datafile_start ();
  witness.power_button = open_power_button ();
  witness.n_disks = disks_open (witness.disks, witness.run);
  channel_open_virtio (&witness.channels[0], "org.vmsnap.witness.0");
  channel_open_serial (&witness.channels[1], "/dev/ttyS1");
  heart_start ();
}

int
main (void)
{
  start ();
  say ("witness run %s, %zu disks%s%s%s\r\n", witness.run, witness.n_disks,
       witness.channels[0].fd >= 0 ? ", virtio-serial" : "", witness.channels[1].fd >= 0 ? ", serial" : "",
       datafile_present () ? ", data" : "");

  for (;;)
    {
      bool button = false;

      if (witness.writing)
        count_once ();
      beat ();
      channels_wait (witness.channels, N_CHANNELS, witness.power_button, &button, handle_line);
      if (button && power_button_was_pressed ())
        end_signal = SIGUSR2;
      obey_signals ();
    }
}
