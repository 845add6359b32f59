/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Where the witness listens: the virtio-serial port org.vmsnap.witness.0 and
 * the second serial port, whichever the machine has.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CHANNEL_LINE 512

typedef struct
{
  int fd; /* -1: not there */
  bool hung_up;
  size_t length;
  char line[CHANNEL_LINE];
} Channel;

typedef void (*ChannelHandler) (Channel *channel, char *line);

int serial_open_raw (const char *path);
void channel_open_virtio (Channel *channel, const char *port_name);
void channel_open_serial (Channel *channel, const char *path);
void channels_wait (Channel *channels, size_t n_channels, int extra_fd, bool *extra_ready, ChannelHandler handler);
void channel_reply (Channel *channel, const char *text, size_t length);
