/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ROUND_NS 300000
#define REPLY_MS 2000
#define MAX_CHANNELS 4

/* A serial port without echo or line editing, never blocking; -1: there is no such port. */
int
serial_open_raw (const char *path)
{
  struct termios settings;
  int fd = open (path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

  if (fd < 0)
    return -1;
  /* The kernel has nodes for ports that the machine has not: those fail here. */
  if (tcgetattr (fd, &settings) < 0)
    {
      close (fd);
      return -1;
    }
  cfmakeraw (&settings);
  cfsetspeed (&settings, B115200);
  settings.c_cflag |= CLOCAL;
  tcsetattr (fd, TCSANOW, &settings);
  return fd;
}

void
channel_open_serial (Channel *channel, const char *path)
{
  memset (channel, 0, sizeof *channel);
  channel->fd = serial_open_raw (path);
}

static bool
port_has_name (const char *port, const char *name)
{
  char path[320], found[128] = "";
  FILE *file;

  snprintf (path, sizeof path, "/sys/class/virtio-ports/%s/name", port);
  file = fopen (path, "re");
  if (file == NULL)
    return false;
  if (fgets (found, sizeof found, file) == NULL)
    found[0] = '\0';
  fclose (file);
  found[strcspn (found, "\n")] = '\0';
  return strcmp (found, name) == 0;
}

void
channel_open_virtio (Channel *channel, const char *port_name)
{
  DIR *ports = opendir ("/sys/class/virtio-ports");
  struct dirent *entry;

  memset (channel, 0, sizeof *channel);
  channel->fd = -1;
  if (ports == NULL)
    return;
  while (channel->fd < 0 && (entry = readdir (ports)) != NULL)
    if (port_has_name (entry->d_name, port_name))
      {
        char path[320];

        snprintf (path, sizeof path, "/dev/%s", entry->d_name);
        channel->fd = open (path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
      }
  closedir (ports);
}

static void
take_bytes (Channel *channel, const char *bytes, size_t n_bytes, ChannelHandler handler)
{
  for (size_t i = 0; i < n_bytes; i++)
    {
      if (bytes[i] != '\n' && bytes[i] != '\r')
        {
          /* What is too long is cut, and refused by the handler for what is left of it. */
          if (channel->length < CHANNEL_LINE - 1)
            channel->line[channel->length++] = bytes[i];
          continue;
        }
      channel->line[channel->length] = '\0';
      if (channel->length > 0)
        handler (channel, channel->line);
      channel->length = 0;
    }
}

static void
channel_read (Channel *channel, ChannelHandler handler)
{
  char bytes[CHANNEL_LINE];
  ssize_t n_bytes = read (channel->fd, bytes, sizeof bytes);

  /* A virtio port without a host side reads as end of file: that is no end, the host may come back. */
  if (n_bytes > 0)
    take_bytes (channel, bytes, (size_t)n_bytes, handler);
  else
    channel->length = 0;
}

/*
 * Waits for at most one round's time, and serves what came. A channel that is
 * hung up would wake poll at once each time, so it is looked at without
 * counting on it for the wait.
 */
void
channels_wait (Channel *channels, size_t n_channels, int extra_fd, bool *extra_ready, ChannelHandler handler)
{
  struct pollfd fds[MAX_CHANNELS + 1];
  const struct timespec round = { 0, ROUND_NS }, no_time = { 0, 0 };
  bool any_hung_up = false;

  for (size_t i = 0; i < n_channels; i++)
    {
      fds[i] = (struct pollfd){ .fd = channels[i].fd, .events = POLLIN };
      any_hung_up = any_hung_up || channels[i].hung_up;
    }
  fds[n_channels] = (struct pollfd){ .fd = extra_fd, .events = POLLIN };

  if (any_hung_up)
    nanosleep (&round, NULL);
  if (ppoll (fds, n_channels + 1, any_hung_up ? &no_time : &round, NULL) < 0)
    return;

  for (size_t i = 0; i < n_channels; i++)
    {
      channels[i].hung_up = (fds[i].revents & POLLHUP) != 0;
      if (fds[i].revents & POLLIN)
        channel_read (&channels[i], handler);
    }
  *extra_ready = (fds[n_channels].revents & POLLIN) != 0;
}

/* Writes a whole reply, unless the other side stops reading or is gone. */
void
channel_reply (Channel *channel, const char *text, size_t length)
{
  while (length > 0)
    {
      struct pollfd ready = { .fd = channel->fd, .events = POLLOUT };
      ssize_t done = write (channel->fd, text, length);

      if (done > 0)
        {
          text += done;
          length -= (size_t)done;
          continue;
        }
      if (done < 0 && errno == EINTR)
        continue;
      if (done < 0 && errno != EAGAIN)
        return;
      if (poll (&ready, 1, REPLY_MS) <= 0 || (ready.revents & POLLHUP))
        return;
    }
}
