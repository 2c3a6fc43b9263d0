#ifndef LINEUP_CIMAGECODEC_H
#define LINEUP_CIMAGECODEC_H

// Whole JPEG images between memory and 8-bit RGB, over libjpeg.
//
// This is C because libjpeg leaves its functions with longjmp, which Swift code must not be crossed by.
// Nothing here prints, exits or keeps state: each function returns a status and, where that is not OK, writes one
// line without a newline into `message` (LINEUP_JPEG_MESSAGE_BYTES bytes, always terminated).
// All functions may be called from several threads at once.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  /// Room for a message of libjpeg (200 bytes) or ours.
  LINEUP_JPEG_MESSAGE_BYTES = 256,
  /// Images of more pixels than this are refused before anything is allocated for them.
  LINEUP_JPEG_MAX_PIXELS = 100000000,
  /// Files of more scans than this are refused: a small file of many scans can take hours to decode.
  LINEUP_JPEG_MAX_SCANS = 500,
};

enum {
  LINEUP_JPEG_OK = 0,
  /// Not a JPEG, or a damaged one: libjpeg reported an error or a warning about its data.
  LINEUP_JPEG_DAMAGED = 1,
  /// A sound JPEG that is not read here: too large, too many scans, or not gray, YCbCr or RGB.
  LINEUP_JPEG_REFUSED = 2,
  /// The caller's sizes are wrong, or memory ran out.
  LINEUP_JPEG_INTERNAL = 3,
};

/// Reads the size of the image in `bytes`; decodes nothing.
int lineup_jpeg_read_header(
  const uint8_t *bytes, size_t length, int *width, int *height, char *message);

/// Decodes the whole image into `pixels` [height][width][3], RGB. `capacity` must be width * height * 3 of the header.
/// libjpeg's defaults (accurate integer DCT, smooth upsampling), so that the pixels equal those of Pillow.
/// The Exif orientation is not applied. What `pixels` holds after a failure is undefined.
int lineup_jpeg_decode(
  const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message);

/// Encodes `pixels` [height][width][3], RGB, at `quality` 1...100 (4:2:0 as libjpeg's default).
/// On success `*bytes` has `*length` bytes and is released by `lineup_jpeg_free`; otherwise it is NULL.
int lineup_jpeg_encode(
  const uint8_t *pixels, int width, int height, int quality, uint8_t **bytes, size_t *length, char *message);

/// Releases what `lineup_jpeg_encode` returned; NULL is fine.
void lineup_jpeg_free(uint8_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
