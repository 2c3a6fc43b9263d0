#include "CImageCodec.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

// libjpeg's way out of an error: `error_exit` must not return, so it jumps to the function that called setjmp.
// That function ("guarded") changes no local of its own after setjmp; all that outlives a jump is in the caller's
// struct, so that nothing is indeterminate afterwards.
struct failing {
  struct jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  jmp_buf out;
  int status;
  char *message;
};

static void leave(struct failing *failing, int status, const char *message) {
  failing->status = status;
  snprintf(failing->message, LINEUP_IMAGE_MESSAGE_BYTES, "%s", message);
  longjmp(failing->out, 1);
}

static void on_error(j_common_ptr info) {
  struct failing *failing = (struct failing *)info->err;
  char text[JMSG_LENGTH_MAX];
  failing->manager.format_message(info, text);
  leave(failing, failing->manager.msg_code == JERR_OUT_OF_MEMORY ? LINEUP_IMAGE_INTERNAL : LINEUP_IMAGE_DAMAGED, text);
}

// Level -1 is a warning: libjpeg would go on with gray or smeared pixels. Two of them concern metadata only.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  int code = info->err->msg_code;
  if (code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) return;
  on_error(info);
}

static void print_nothing(j_common_ptr info) { (void)info; }

static void prepare(struct failing *failing, char *message) {
  memset(failing, 0, sizeof *failing);
  message[0] = 0;
  failing->message = message;
  jpeg_std_error(&failing->manager);
  failing->manager.error_exit = on_error;
  failing->manager.emit_message = on_message;
  failing->manager.output_message = print_nothing;
}

// MARK: Decoding

struct decoding {
  struct jpeg_decompress_struct info;
  struct failing failing;
  struct jpeg_progress_mgr progress;
};

static void on_progress(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number <= LINEUP_JPEG_MAX_SCANS) return;
  char text[LINEUP_IMAGE_MESSAGE_BYTES];
  snprintf(text, sizeof text, "more than %d scans, which is refused", LINEUP_JPEG_MAX_SCANS);
  leave((struct failing *)info->err, LINEUP_IMAGE_REFUSED, text);
}

static void start(struct decoding *decoding, const uint8_t *bytes, size_t length) {
  jpeg_create_decompress(&decoding->info);
  decoding->progress.progress_monitor = on_progress;
  decoding->info.progress = &decoding->progress;
  jpeg_mem_src(&decoding->info, bytes, length);
  jpeg_read_header(&decoding->info, TRUE);

  char text[LINEUP_IMAGE_MESSAGE_BYTES];
  uint64_t pixels = (uint64_t)decoding->info.image_width * decoding->info.image_height;
  if (pixels > LINEUP_IMAGE_MAX_PIXELS) {
    snprintf(text, sizeof text, "%u x %u pixels, and more than %d are refused", decoding->info.image_width,
             decoding->info.image_height, LINEUP_IMAGE_MAX_PIXELS);
    leave(&decoding->failing, LINEUP_IMAGE_REFUSED, text);
  }
  switch (decoding->info.jpeg_color_space) {
    case JCS_GRAYSCALE: case JCS_YCbCr: case JCS_RGB:
      decoding->info.out_color_space = JCS_RGB;
      break;
    case JCS_CMYK: case JCS_YCCK:
      decoding->info.out_color_space = JCS_CMYK;
      break;
    default:
      snprintf(text, sizeof text, "an image of %d unknown channels; only gray, RGB and CMYK are read",
               decoding->info.num_components);
      leave(&decoding->failing, LINEUP_IMAGE_REFUSED, text);
  }
}

static int read_header_guarded(
  struct decoding *decoding, const uint8_t *bytes, size_t length, int *width, int *height) {
  if (setjmp(decoding->failing.out)) return decoding->failing.status;
  start(decoding, bytes, length);
  *width = (int)decoding->info.image_width;
  *height = (int)decoding->info.image_height;
  return LINEUP_IMAGE_OK;
}

// A row of inverted inks as RGB: light − ink · light / 255, rounded as Pillow rounds it.
static void mix_inks(const uint8_t *inks, uint8_t *pixels, size_t width) {
  for (size_t x = 0; x < width; x++) {
    const unsigned light = inks[4 * x + 3];
    for (int c = 0; c < 3; c++) {
      const unsigned product = (255u - inks[4 * x + c]) * light + 128;
      const unsigned ink = ((product >> 8) + product) >> 8;
      pixels[3 * x + c] = (uint8_t)(light - ink);
    }
  }
}

static int decode_guarded(
  struct decoding *decoding, const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity) {
  if (setjmp(decoding->failing.out)) return decoding->failing.status;
  start(decoding, bytes, length);
  jpeg_start_decompress(&decoding->info);
  const size_t stride = (size_t)decoding->info.output_width * 3;
  const int components = decoding->info.output_components;
  if ((components != 3 && components != 4) || stride * decoding->info.output_height != capacity)
    leave(&decoding->failing, LINEUP_IMAGE_INTERNAL, "the pixel buffer does not fit the image");
  // libjpeg releases it with the image.
  JSAMPARRAY inks = components == 4
    ? decoding->info.mem->alloc_sarray((j_common_ptr)&decoding->info, JPOOL_IMAGE, decoding->info.output_width * 4, 1)
    : NULL;
  while (decoding->info.output_scanline < decoding->info.output_height) {
    JSAMPROW row = pixels + stride * decoding->info.output_scanline;
    jpeg_read_scanlines(&decoding->info, inks ? inks : &row, 1);
    if (inks) mix_inks(inks[0], row, decoding->info.output_width);
  }
  // Reads on to the end marker, so that a file cut short is noticed.
  jpeg_finish_decompress(&decoding->info);
  return LINEUP_IMAGE_OK;
}

int lineup_jpeg_read_header(const uint8_t *bytes, size_t length, int *width, int *height, char *message) {
  struct decoding decoding;
  memset(&decoding, 0, sizeof decoding);
  prepare(&decoding.failing, message);
  decoding.info.err = &decoding.failing.manager;
  int status = read_header_guarded(&decoding, bytes, length, width, height);
  jpeg_destroy_decompress(&decoding.info);
  return status;
}

int lineup_jpeg_decode(const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message) {
  struct decoding decoding;
  memset(&decoding, 0, sizeof decoding);
  prepare(&decoding.failing, message);
  decoding.info.err = &decoding.failing.manager;
  int status = decode_guarded(&decoding, bytes, length, pixels, capacity);
  jpeg_destroy_decompress(&decoding.info);
  return status;
}

// MARK: Encoding

// A destination of our own: with jpeg_mem_dest the caller's pointer dangles after an error.
struct encoding {
  struct jpeg_compress_struct info;
  struct failing failing;
  struct jpeg_destination_mgr destination;
  uint8_t *bytes;
  size_t capacity, length;
};

static struct encoding *encoding_of(j_compress_ptr info) { return (struct encoding *)info->client_data; }

static void grow(struct encoding *encoding, size_t used) {
  size_t capacity = encoding->capacity ? encoding->capacity * 2 : 16384;
  uint8_t *larger = realloc(encoding->bytes, capacity);
  if (!larger) leave(&encoding->failing, LINEUP_IMAGE_INTERNAL, "out of memory");
  encoding->bytes = larger;
  encoding->capacity = capacity;
  encoding->destination.next_output_byte = larger + used;
  encoding->destination.free_in_buffer = capacity - used;
}

static void begin_output(j_compress_ptr info) { grow(encoding_of(info), 0); }

static boolean flush_output(j_compress_ptr info) {
  grow(encoding_of(info), encoding_of(info)->capacity);  // called when the buffer is full
  return TRUE;
}

static void end_output(j_compress_ptr info) {
  struct encoding *encoding = encoding_of(info);
  encoding->length = encoding->capacity - encoding->destination.free_in_buffer;
}

static int encode_guarded(struct encoding *encoding, const uint8_t *pixels, int width, int height, int quality) {
  if (setjmp(encoding->failing.out)) return encoding->failing.status;
  jpeg_create_compress(&encoding->info);
  encoding->info.client_data = encoding;
  encoding->destination.init_destination = begin_output;
  encoding->destination.empty_output_buffer = flush_output;
  encoding->destination.term_destination = end_output;
  encoding->info.dest = &encoding->destination;
  encoding->info.image_width = (JDIMENSION)width;
  encoding->info.image_height = (JDIMENSION)height;
  encoding->info.input_components = 3;
  encoding->info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoding->info);
  jpeg_set_quality(&encoding->info, quality, TRUE);
  jpeg_start_compress(&encoding->info, TRUE);
  while (encoding->info.next_scanline < encoding->info.image_height) {
    JSAMPROW row = (JSAMPROW)(pixels + (size_t)width * 3 * encoding->info.next_scanline);
    jpeg_write_scanlines(&encoding->info, &row, 1);
  }
  jpeg_finish_compress(&encoding->info);
  return LINEUP_IMAGE_OK;
}

int lineup_jpeg_encode(
  const uint8_t *pixels, int width, int height, int quality, uint8_t **bytes, size_t *length, char *message) {
  struct encoding encoding;
  *bytes = NULL;
  *length = 0;
  memset(&encoding, 0, sizeof encoding);
  prepare(&encoding.failing, message);
  if (width < 1 || height < 1 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION) {
    snprintf(message, LINEUP_IMAGE_MESSAGE_BYTES, "a JPEG cannot have %d x %d pixels", width, height);
    return LINEUP_IMAGE_INTERNAL;
  }
  encoding.info.err = &encoding.failing.manager;
  int status = encode_guarded(&encoding, pixels, width, height, quality);
  jpeg_destroy_compress(&encoding.info);
  if (status != LINEUP_IMAGE_OK) {
    free(encoding.bytes);
    return status;
  }
  *bytes = encoding.bytes;
  *length = encoding.length;
  return status;
}

void lineup_jpeg_free(uint8_t *bytes) { free(bytes); }
