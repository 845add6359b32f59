/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The witness's place on a disk: a ring of blocks at a fixed offset, the block
 * for counter n at n % RING, written with O_DIRECT, and flushed now and then
 * (each time would halve the pace; who wants that asks for it). Before each write the whole ring is read
 * and must be what this run wrote last. A disk taken back without its RAM, or
 * RAM without its disk, by two counts or more shows for sure; a difference of
 * one is a write that was under way and is no error.
 *
 * A disk that holds something else at that place is left alone.
 */

#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define PLACE (1024 * 1024)
#define RING 8
#define MARK_PLACE (PLACE + RING * BLOCK)
#define SMALLEST_DISK (2 * 1024 * 1024)

static const char magic[8] = "VMSNAPW1";
static unsigned flush_every = 16;

typedef struct
{
  char magic[8];
  Record record;
} Block;

/* Direct I/O wants aligned memory; one buffer does, for one thread uses it. */
static unsigned char ring_buffer[RING * BLOCK] __attribute__ ((aligned (BLOCK)));
static unsigned char block_buffer[BLOCK] __attribute__ ((aligned (BLOCK)));

static const Block *
ring_block (unsigned slot)
{
  return (const Block *)(ring_buffer + slot * BLOCK);
}

static bool
block_is_ours (const void *block)
{
  return memcmp (block, magic, sizeof magic) == 0;
}

static bool
block_is_zero (const unsigned char *block)
{
  for (size_t i = 0; i < BLOCK; i++)
    if (block[i] != 0)
      return false;
  return true;
}

static bool
transfer (Disk *disk, bool writing, void *buffer, size_t size, off_t offset)
{
  ssize_t done;

  do
    done = writing ? pwrite (disk->fd, buffer, size, offset) : pread (disk->fd, buffer, size, offset);
  while (done < 0 && errno == EINTR);

  if (done == (ssize_t)size)
    return true;
  disk->io_errors++;
  return false;
}

static bool
write_block (Disk *disk, const char *run, uint64_t n, const char *mark, off_t offset)
{
  Block *block = (Block *)block_buffer;

  memset (block_buffer, 0, sizeof block_buffer);
  memcpy (block->magic, magic, sizeof magic);
  memcpy (block->record.run, run, RUN_ID_LENGTH);
  block->record.n = n;
  snprintf (block->record.mark, sizeof block->record.mark, "%s", mark);
  return transfer (disk, true, block_buffer, BLOCK, offset);
}

static bool
write_counter (Disk *disk, const char *run, uint64_t n)
{
  return write_block (disk, run, n, "", PLACE + (off_t)(n % RING) * BLOCK);
}

/* The counter that belongs into a slot when n was written last: 0 at the start of a run. */
static uint64_t
expected_in_slot (unsigned slot, uint64_t n)
{
  uint64_t back = (n % RING + RING - slot) % RING;

  return back < n ? n - back : 0;
}

static bool
ring_says (Disk *disk, const char *run, uint64_t n)
{
  for (unsigned slot = 0; slot < RING; slot++)
    {
      const Block *block = ring_block (slot);
      uint64_t expected = expected_in_slot (slot, n);

      if (block_is_ours (block) && strcmp (block->record.run, run) == 0 && block->record.n == expected)
        continue;
      if (disk->inconsistent == 0)
        {
          disk->bad_expected = expected;
          disk->bad_seen = block->record.n;
        }
      return false;
    }
  return true;
}

static void
write_ring (Disk *disk, const char *run, uint64_t n)
{
  for (unsigned slot = 0; slot < RING; slot++)
    write_block (disk, run, expected_in_slot (slot, n), "", PLACE + (off_t)slot * BLOCK);
}

/* After how many writes a disk is flushed: 1 is each one. */
void
disks_flush_every (unsigned n)
{
  flush_every = n;
}

/* Checks that the disk says n - 1, then makes it say n. */
void
disk_check_and_write (Disk *disk, const char *run, uint64_t n)
{
  if (disk->read_only)
    return;
  if (transfer (disk, false, ring_buffer, sizeof ring_buffer, PLACE) && !ring_says (disk, run, n - 1))
    {
      disk->inconsistent++;
      write_ring (disk, run, n - 1);
    }
  write_counter (disk, run, n);
  if (n % flush_every == 0 && fdatasync (disk->fd) < 0)
    disk->io_errors++;
}

/* The highest counter of this run on the disk, and the disk's mark, both read from the disk itself. */
bool
disk_read_counter (Disk *disk, const char *run, uint64_t *n)
{
  const Block *mark_block = (const Block *)block_buffer;

  if (!transfer (disk, false, ring_buffer, sizeof ring_buffer, PLACE)
      || !transfer (disk, false, block_buffer, BLOCK, MARK_PLACE))
    return false;

  *n = 0;
  for (unsigned slot = 0; slot < RING; slot++)
    {
      const Record *record = &ring_block (slot)->record;

      if (block_is_ours (ring_block (slot)) && strcmp (record->run, run) == 0 && record->n > *n)
        *n = record->n;
    }
  disk->mark[0] = '\0';
  if (block_is_ours (mark_block) && strcmp (mark_block->record.run, run) == 0)
    snprintf (disk->mark, sizeof disk->mark, "%.*s", MARK_LENGTH, mark_block->record.mark);
  return true;
}

bool
disk_write_mark (Disk *disk, const char *run, uint64_t n, const char *mark)
{
  return disk->read_only || (write_block (disk, run, n, mark, MARK_PLACE) && fdatasync (disk->fd) == 0);
}

static void
copy_record (Record *to, const Record *from)
{
  *to = *from;
  to->run[RUN_ID_LENGTH] = '\0';
  to->mark[MARK_LENGTH] = '\0';
}

/* Notes what an earlier run left. False: the place is in use by something else. */
static bool
read_what_is_there (Disk *disk)
{
  if (!transfer (disk, false, ring_buffer, sizeof ring_buffer, PLACE)
      || !transfer (disk, false, block_buffer, BLOCK, MARK_PLACE))
    return false;

  for (unsigned slot = 0; slot < RING; slot++)
    {
      const Block *block = ring_block (slot);

      if (block_is_ours (block))
        {
          if (disk->found.run[0] == '\0' || block->record.n > disk->found.n)
            copy_record (&disk->found, &block->record);
        }
      else if (!block_is_zero ((const unsigned char *)block))
        return false;
    }
  if (block_is_ours (block_buffer))
    memcpy (disk->found.mark, ((const Block *)block_buffer)->record.mark, MARK_LENGTH);
  return true;
}

static bool
disk_open (Disk *disk, const char *name, const char *run)
{
  char path[sizeof "/dev/" + DISK_NAME_LENGTH];
  uint64_t size = 0;
  int read_only = 0;

  memset (disk, 0, sizeof *disk);
  snprintf (disk->name, sizeof disk->name, "%.*s", DISK_NAME_LENGTH, name);
  snprintf (path, sizeof path, "/dev/%s", disk->name);
  /* O_EXCL: not if it is mounted. */
  disk->fd = open (path, O_RDWR | O_DIRECT | O_EXCL | O_CLOEXEC);
  if (disk->fd < 0)
    {
      disk->fd = open (path, O_RDONLY | O_DIRECT | O_EXCL | O_CLOEXEC);
      read_only = 1;
    }
  if (disk->fd < 0)
    return false;
  if (!read_only)
    ioctl (disk->fd, BLKROGET, &read_only);
  disk->read_only = read_only != 0;

  if (ioctl (disk->fd, BLKGETSIZE64, &size) < 0 || size < SMALLEST_DISK || !read_what_is_there (disk))
    {
      close (disk->fd);
      return false;
    }
  if (!disk->read_only)
    write_ring (disk, run, 0);
  return true;
}

static int
is_disk (const struct dirent *entry)
{
  return (strncmp (entry->d_name, "vd", 2) == 0 || strncmp (entry->d_name, "sd", 2) == 0)
         && strlen (entry->d_name) == DISK_NAME_LENGTH;
}

/* Takes every virtio and SCSI/IDE disk that is free, in the order of their names. */
size_t
disks_open (Disk *disks, const char *run)
{
  struct dirent **entries = NULL;
  int n_entries = scandir ("/sys/block", &entries, is_disk, alphasort);
  size_t n_disks = 0;

  for (int i = 0; i < n_entries; i++)
    {
      if (n_disks < MAX_DISKS && disk_open (&disks[n_disks], entries[i]->d_name, run))
        n_disks++;
      free (entries[i]);
    }
  free (entries);
  return n_disks;
}
