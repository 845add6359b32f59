/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the parts of the test guest's one program share: the identity of this
 * run, and the interfaces of disk.c (a counter on each disk), memory.c (memory
 * whose content is known), datafile.c (a writer on a file system) and heart.c (a
 * thousand beats a second for who measures).
 * Plain C and libc only: the program is linked statically and is PID 1.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_ID_LENGTH 16
#define MARK_LENGTH 120
#define MAX_DISKS 26
#define DISK_NAME_LENGTH 3 /* vda, sdz */
#define BLOCK 4096
#define HEART_BEAT_BYTES 40 /* microseconds, counter, dirtied pages */

typedef struct
{
  char run[RUN_ID_LENGTH + 1];
  uint64_t n;
  char mark[MARK_LENGTH + 1];
} Record;

typedef struct
{
  char name[DISK_NAME_LENGTH + 1];
  int fd;
  bool read_only;
  char mark[MARK_LENGTH + 1]; /* as read back */
  Record found;               /* what an earlier run left; empty run: nothing */
  uint64_t inconsistent;      /* how often the disk was not what RAM says was last written */
  uint64_t io_errors;
  uint64_t bad_expected; /* the first inconsistency */
  uint64_t bad_seen;
} Disk;

/* disk.c */
size_t disks_open (Disk *disks, const char *run);
void disk_check_and_write (Disk *disk, const char *run, uint64_t n);
bool disk_read_counter (Disk *disk, const char *run, uint64_t *n);
void disks_flush_every (unsigned n);
bool disk_write_mark (Disk *disk, const char *run, uint64_t n, const char *mark);

/* memory.c */
void memory_start (void);
void memory_touch (uint64_t n);
uint64_t memory_count_bad (uint64_t n);
bool dirty_start (unsigned mib, unsigned mib_per_second);
unsigned dirty_mib (void);
uint64_t dirty_bad (void);
uint64_t dirty_written_pages (void);
uint64_t dirty_written_mib (void);
bool fill_start (unsigned mib);
uint64_t filled_mib (void);
bool fill_check (void);
bool fill_checked (void);
uint64_t fill_bad (void);

/* datafile.c */
bool datafile_start (void);
bool datafile_present (void);
uint64_t datafile_counter (void);
uint64_t datafile_bad (void);

/* heart.c */
bool heart_start (void);
void heart_note (uint64_t n);
