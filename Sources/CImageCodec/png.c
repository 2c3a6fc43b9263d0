#include "CImageCodec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

// As in jpeg.c: libpng's way out of an error jumps to the "guarded" function, which changes no local of its own after
// setjmp; all that outlives the jump is in this struct.
struct reading {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t length, position;
  jmp_buf out;
  int status;
  char *message;
};

static void leave(struct reading *reading, int status, const char *message) {
  reading->status = status;
  snprintf(reading->message, LINEUP_IMAGE_MESSAGE_BYTES, "%s", message);
  longjmp(reading->out, 1);
}

static void on_error(png_structp png, png_const_charp message) {
  leave(png_get_error_ptr(png), strcmp(message, "Out of memory") ? LINEUP_IMAGE_DAMAGED : LINEUP_IMAGE_INTERNAL, message);
}

// Warnings are about chunks that are not looked at, or about data after the last row.
static void ignore(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void read_bytes(png_structp png, png_bytep target, size_t count) {
  struct reading *reading = png_get_io_ptr(png);
  if (count > reading->length - reading->position) png_error(png, "Premature end of PNG file");
  memcpy(target, reading->bytes + reading->position, count);
  reading->position += count;
}

static void start(struct reading *reading) {
  reading->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reading, on_error, ignore);
  reading->info = reading->png ? png_create_info_struct(reading->png) : NULL;
  if (!reading->info) leave(reading, LINEUP_IMAGE_INTERNAL, "out of memory, or another libpng than it was built with");
  png_set_read_fn(reading->png, reading, read_bytes);
  // The bounds are below. Profiles and texts are neither unpacked nor kept.
  png_set_user_limits(reading->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_keep_unknown_chunks(reading->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(reading->png, reading->info);

  const uint32_t width = png_get_image_width(reading->png, reading->info);
  const uint32_t height = png_get_image_height(reading->png, reading->info);
  const int isLong = width > LINEUP_PNG_MAX_SIDE || height > LINEUP_PNG_MAX_SIDE;
  if (!isLong && (uint64_t)width * height <= LINEUP_IMAGE_MAX_PIXELS) return;
  char text[LINEUP_IMAGE_MESSAGE_BYTES];
  snprintf(text, sizeof text, "%u x %u pixels, and more than %d%s are refused", width, height,
           isLong ? LINEUP_PNG_MAX_SIDE : LINEUP_IMAGE_MAX_PIXELS, isLong ? " a side" : "");
  leave(reading, LINEUP_IMAGE_REFUSED, text);
}

// A row of 16-bit gray, most significant byte first, as RGB in its place.
static void clip_gray(uint8_t *row, size_t width) {
  for (size_t x = width; x-- > 0;) memset(row + 3 * x, row[2 * x] ? 255 : row[2 * x + 1], 3);
}

static int read_header_guarded(struct reading *reading, int *width, int *height) {
  if (setjmp(reading->out)) return reading->status;
  start(reading);
  *width = (int)png_get_image_width(reading->png, reading->info);
  *height = (int)png_get_image_height(reading->png, reading->info);
  return LINEUP_IMAGE_OK;
}

static int decode_guarded(struct reading *reading, uint8_t *pixels, size_t capacity) {
  if (setjmp(reading->out)) return reading->status;
  start(reading);
  const png_structp png = reading->png;
  const size_t width = png_get_image_width(png, reading->info), height = png_get_image_height(png, reading->info);
  const int clips = png_get_color_type(png, reading->info) == PNG_COLOR_TYPE_GRAY
    && png_get_bit_depth(png, reading->info) == 16;
  if (!clips) {
    png_set_strip_16(png);
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
  }
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, reading->info);
  if (png_get_rowbytes(png, reading->info) != width * (clips ? 2 : 3) || width * height * 3 != capacity)
    leave(reading, LINEUP_IMAGE_INTERNAL, "the pixel buffer does not fit the image");
  for (int pass = 0; pass < passes; pass++)
    for (size_t y = 0; y < height; y++) png_read_row(png, pixels + y * width * 3, NULL);
  if (clips)
    for (size_t y = 0; y < height; y++) clip_gray(pixels + y * width * 3, width);
  // Reads on to the end marker, so that a file cut short is noticed.
  png_read_end(png, NULL);
  return LINEUP_IMAGE_OK;
}

static struct reading prepared(const uint8_t *bytes, size_t length, char *message) {
  message[0] = 0;
  return (struct reading){.bytes = bytes, .length = length, .message = message};
}

int lineup_png_read_header(const uint8_t *bytes, size_t length, int *width, int *height, char *message) {
  struct reading reading = prepared(bytes, length, message);
  int status = read_header_guarded(&reading, width, height);
  png_destroy_read_struct(&reading.png, &reading.info, NULL);
  return status;
}

int lineup_png_decode(const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message) {
  struct reading reading = prepared(bytes, length, message);
  int status = decode_guarded(&reading, pixels, capacity);
  png_destroy_read_struct(&reading.png, &reading.info, NULL);
  return status;
}

// libpng's simple interface, which catches its jumps itself.
int lineup_png_encode(const uint8_t *pixels, int width, int height, uint8_t *bytes, size_t *length, char *message) {
  message[0] = 0;
  png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height,
                     .format = PNG_FORMAT_RGB};
  png_alloc_size_t room = *length;
  const int isWritten = png_image_write_to_memory(&image, bytes, &room, 0, pixels, 0, NULL);
  if (isWritten) {
    *length = room;
    return LINEUP_IMAGE_OK;
  }
  snprintf(message, LINEUP_IMAGE_MESSAGE_BYTES, "%s", image.message[0] ? image.message : "the buffer is too small");
  png_image_free(&image);
  return LINEUP_IMAGE_INTERNAL;
}
