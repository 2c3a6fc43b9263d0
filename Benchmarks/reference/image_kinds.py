"""Small files of every kind of JPEG and PNG, and a digest of the RGB pixels that Pillow makes of each.

    python image_kinds.py FOLDER

writes them, and a line `name base64 digest` each: the golden values of Tests/DatasetTests/ImageKindTests.swift. With
`--size WIDTH HEIGHT` they are larger, for other decoders to be compared with.
"""

from __future__ import annotations

import argparse
import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

GRAY, COLOUR, PALETTE, GRAY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, COLOUR: 3, PALETTE: 1, GRAY_ALPHA: 2, COLOUR_ALPHA: 4}
# First column, first row, and the steps between columns and rows of the seven passes (Adam7).
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def digest(pixels: bytes) -> str:
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in pixels:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def pixels_of(data: bytes) -> Image.Image:
    """What an image loader of the field makes of a file."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scanlines(samples: np.ndarray, bits: int) -> bytes:
    """Rows (height, width, channels) packed, each with filter 0."""
    lines = []
    for row in samples.reshape(samples.shape[0], -1):
        if bits == 16:
            packed = row.astype(">u2").tobytes()
        else:
            flags = (row[:, None] >> np.arange(bits)[::-1]) & 1
            packed = np.packbits(flags.astype(np.uint8).ravel()).tobytes()
        lines.append(b"\0" + packed)
    return b"".join(lines)


def png(kind: int, bits: int, interlaced: bool, width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG of samples drawn from all values that there are."""
    generator = np.random.default_rng(kind * 100 + bits)
    samples = generator.integers(0, 1 << bits, size=(height, width, CHANNELS[kind]))
    if bits == 16:
        samples[: height // 2, :, 0] //= 128  # gray on both sides of 255
    parts = [samples]
    if interlaced:
        parts = [samples[y::down, x::right] for x, y, right, down in PASSES]
    data = b"".join(scanlines(part, bits) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9))
            + chunk(b"IEND", b""))


def palette(bits: int) -> bytes:
    """Two colours fewer than there can be, of which the first ones are transparent: other indices are black."""
    colours = np.random.default_rng(bits).integers(0, 256, size=3 * ((1 << bits) - (2 if bits > 1 else 0)))
    return chunk(b"PLTE", colours.astype(np.uint8).tobytes()) + chunk(b"tRNS", bytes([0, 128]))


def exif(orientation: int) -> bytes:
    """An Exif block, of either byte order, whose second tag is the orientation."""
    order = "<>"[orientation % 2]
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 0x0100, 4, 1, 8) + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(order + "IH", 8, 2) + entries + bytes(4)


def jpeg(mode: str, width: int, height: int, **options: object) -> bytes:
    """A JPEG of smooth ramps."""
    y, x = np.mgrid[0:height, 0:width]
    ramps = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height), x * 120 // width]
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    pixels = np.stack(ramps[:channels], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode).save(file, "JPEG", **options)
    return file.getvalue()


def files(width: int, height: int) -> dict[str, bytes]:
    """By name."""
    made: dict[str, bytes] = {}
    depths = {GRAY: (1, 2, 4, 8, 16), COLOUR: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), COLOUR_ALPHA: (8, 16)}
    names = {GRAY: "gray", COLOUR: "colour", PALETTE: "palette", GRAY_ALPHA: "gray-alpha", COLOUR_ALPHA: "colour-alpha"}
    for kind, choices in depths.items():
        for bits in choices:
            extra = palette(bits) if kind == PALETTE else b""
            for interlaced in (False, True):
                name = f"{names[kind]}-{bits}{'-interlaced' if interlaced else ''}.png"
                made[name] = png(kind, bits, interlaced, width, height, extra)
    made["gray-8-transparent.png"] = png(GRAY, 8, False, width, height, chunk(b"tRNS", b"\0\7"))
    made["gray-16-transparent.png"] = png(GRAY, 16, False, width, height, chunk(b"tRNS", b"\0\7"))
    made["colour-8-transparent.png"] = png(COLOUR, 8, False, width, height, chunk(b"tRNS", b"\0\7\0\7\0\7"))
    for orientation in range(1, 9):
        block = exif(orientation)
        made[f"orientation-{orientation}.png"] = png(COLOUR, 8, False, width, height, chunk(b"eXIf", block))
        made[f"orientation-{orientation}.jpg"] = jpeg("RGB", width, height, exif=b"Exif\0\0" + block)
    made["gray.jpg"] = jpeg("L", width, height)
    made["cmyk.jpg"] = jpeg("CMYK", width, height)
    adobe = made["cmyk.jpg"].index(b"Adobe")
    made["ycck.jpg"] = made["cmyk.jpg"][:adobe + 11] + b"\2" + made["cmyk.jpg"][adobe + 12:]
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        made[f"colour-{name}.jpg"] = jpeg("RGB", width, height, subsampling=sampling)
    made["progressive.jpg"] = jpeg("RGB", width, height, progressive=True)
    return made


def main() -> None:
    """Writes the files and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(5, 9), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, data in files(*options.size).items():
        (options.folder / name).write_bytes(data)
        image = pixels_of(data)
        (options.folder / f"{name}.rgb").write_bytes(image.tobytes())
        print(name, base64.b64encode(data).decode(), f"{image.width}x{image.height}", digest(image.tobytes()))


if __name__ == "__main__":
    main()
