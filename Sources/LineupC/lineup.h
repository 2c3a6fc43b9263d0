#ifndef LINEUP_H
#define LINEUP_H

/* Embeds images by a network that Lineup has trained: libLineupC.so of `swift build -c release --product LineupC`.
 *
 * Functions that can fail write one line that names the file, key or image into `error` (`error_size` bytes, always terminated; NULL
 * and 0 for none). A model may be used by several threads; one of them computes at a time. Nothing here prints or exits. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lineup_model lineup_model;

/* Opens a checkpoint's folder, or a run's (its latest checkpoint). `threads`: 0 takes the cores that the process may use.
 * NULL where that fails. */
lineup_model *lineup_open(const char *checkpoint, int threads, char *error, size_t error_size);

/* Releases a model; NULL is fine. */
void lineup_close(lineup_model *model);

/* How long an embedding is, and to what images are resized. */
int lineup_embedding_length(const lineup_model *model);
int lineup_input_height(const lineup_model *model);
int lineup_input_width(const lineup_model *model);

/* `rgb`: [count][height][width][3] bytes; `features`: [count][length], written. 0, or 1 where it fails. */
int lineup_embed(
  lineup_model *model, const uint8_t *rgb, int count, int height, int width, float *features, char *error,
  size_t error_size);

/* The same of JPEG or PNG files. */
int lineup_embed_files(
  lineup_model *model, const char *const *paths, int count, float *features, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
