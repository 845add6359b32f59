/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-save-image.h"

G_BEGIN_DECLS

/**
 * TestFileState:
 * @TEST_FILE_FOREIGN: no image
 * @TEST_FILE_PARTIAL: an image that says it isn't whole, or nothing of one
 * @TEST_FILE_COMPLETE: an image that says it is whole
 *
 * What a file says.
 */
typedef enum {
  TEST_FILE_FOREIGN,
  TEST_FILE_PARTIAL,
  TEST_FILE_COMPLETE,
} TestFileState;

/**
 * TestFile:
 * @path: where it is: in the build tree, which is on a disk more often than the temporary directory is
 * @fd: open for reading and writing
 *
 * A file for an image.
 */
typedef struct {
  char *path;
  int fd;
} TestFile;

/**
 * TestWay:
 * @encoding: how the state is written
 * @flags: and how the file is
 *
 * A way to write an image.
 */
typedef struct {
  VsImageEncoding encoding;
  VsImageFlags flags;
} TestWay;

/* The definition in the images that are made here. */
#define TEST_FILE_XML "<domain type='qemu'><name>n</name></domain>"

TestFile test_file_new (void);
void test_file_clear (TestFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestFile, test_file_clear)

TestFileState test_file_state (const TestFile *file);
gsize test_file_stream_offset (const TestFile *file);
gboolean test_file_is_in_memory (const TestFile *file);
gsize test_file_cached (const TestFile *file);

int test_try_to_write_state (int fd,
                             gsize length);
void test_write_state (int fd,
                       gsize length);
void test_check_state (int fd,
                       gsize length);
gsize test_read_state (int fd);

void test_file_round_trip (const TestFile *file,
                           int fd,
                           const TestWay *way,
                           gsize length);

G_END_DECLS
