#ifndef LINEUP_CIMAGECODEC_H
#define LINEUP_CIMAGECODEC_H

// Whole JPEG and PNG images between memory and 8-bit RGB, over libjpeg and libpng.
//
// This is C because both libraries leave their functions with longjmp, which Swift code must not be crossed by.
// Nothing here prints, exits or keeps state: each function returns a status and, where that is not OK, writes one
// line without a newline into `message` (LINEUP_IMAGE_MESSAGE_BYTES bytes, always terminated).
// All functions may be called from several threads at once.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  /// Room for a message of libjpeg (200 bytes), libpng (196) or ours.
  LINEUP_IMAGE_MESSAGE_BYTES = 256,
  /// Images of more pixels than this are refused before anything is allocated for them.
  LINEUP_IMAGE_MAX_PIXELS = 100000000,
  /// Files of more scans than this are refused: a small file of many scans can take hours to decode.
  LINEUP_JPEG_MAX_SCANS = 500,
  /// PNGs wider or higher are refused: libpng holds rows of up to 8 bytes a pixel. (A JPEG has 65535 at most.)
  LINEUP_PNG_MAX_SIDE = 65535,
};

enum {
  LINEUP_IMAGE_OK = 0,
  /// Not an image of the kind, or a damaged one: the library reported an error, libjpeg also a warning, about its data.
  LINEUP_IMAGE_DAMAGED = 1,
  /// A sound image that is not read here: too large, too many scans, or a JPEG that is not gray, YCbCr, RGB or CMYK.
  LINEUP_IMAGE_REFUSED = 2,
  /// The caller's sizes are wrong, or memory ran out.
  LINEUP_IMAGE_INTERNAL = 3,
};

/// Reads the size of the image in `bytes`; decodes nothing.
int lineup_jpeg_read_header(
  const uint8_t *bytes, size_t length, int *width, int *height, char *message);

/// Decodes the whole image into `pixels` [height][width][3], RGB. `capacity` must be width * height * 3 of the header.
/// libjpeg's defaults (accurate integer DCT, smooth upsampling), so that the pixels equal those of Pillow. Inks (CMYK, or
/// YCCK) are taken to be stored inverted, as Adobe's programs do and Pillow assumes, and become (255 − ink)(255 − black)/255.
/// The Exif orientation is not applied. What `pixels` holds after a failure is undefined.
int lineup_jpeg_decode(
  const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message);

/// The same of a PNG.
int lineup_png_read_header(
  const uint8_t *bytes, size_t length, int *width, int *height, char *message);

/// The same of a PNG of any kind, as Pillow makes RGB of it: gray of 1, 2 and 4 bits spread over 0...255, palettes looked up,
/// alpha and transparent colours dropped, the upper 8 of 16 bits; but of gray of 16 bits without alpha what is above 255
/// becomes 255. Gamma, colour profiles and texts are not looked at; their damage is none of the image.
int lineup_png_decode(
  const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message);

/// Encodes `pixels` [height][width][3], RGB, at `quality` 1...100 (4:2:0 as libjpeg's default).
/// On success `*bytes` has `*length` bytes and is released by `lineup_jpeg_free`; otherwise it is NULL.
int lineup_jpeg_encode(
  const uint8_t *pixels, int width, int height, int quality, uint8_t **bytes, size_t *length, char *message);

/// Encodes `pixels` [height][width][3], RGB, losslessly into `bytes`, which has room for `*length`; `*length` becomes what is used.
/// LINEUP_IMAGE_INTERNAL where the room does not do.
int lineup_png_encode(
  const uint8_t *pixels, int width, int height, uint8_t *bytes, size_t *length, char *message);

/// Releases what `lineup_jpeg_encode` returned; NULL is fine.
void lineup_jpeg_free(uint8_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
