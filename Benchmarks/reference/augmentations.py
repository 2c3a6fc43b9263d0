"""Digests of what Pillow makes of a generated image, the golden values of Tests/DatasetTests/AugmentationTests.swift.

    python augmentations.py

prints a line `operation digest` each. Operations are called as torchvision, fast-reid and torchreid call them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from image_kinds import digest

GRAY = (128, 128, 128)


def formula(width: int, height: int) -> Image.Image:
    """The picture that the tests have too."""
    i = np.arange(width * height * 3, dtype=np.int64)
    return picture((i * 7 + i * i * 3 + i // 5 * 11) % 256, width, height)


def soft(width: int, height: int) -> Image.Image:
    """One of few and similar values."""
    i = np.arange(width * height * 3, dtype=np.int64)
    return picture(60 + (i * 7 + i * i * 3) % 90, width, height)


def cube() -> Image.Image:
    """Every third value of each channel with every third of the others."""
    values = np.arange(0, 256, 3)
    colours = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1)
    return picture(colours, len(values) ** 2, len(values))


def picture(values: np.ndarray, width: int, height: int) -> Image.Image:
    """Values as an image."""
    return Image.fromarray(values.astype(np.uint8).reshape(height, width, 3))


def turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """torchvision's adjust_hue."""
    h, s, v = image.convert("HSV").split()
    shift = np.array(int(turn * 255) % 256, dtype=np.uint8)
    return Image.merge("HSV", (Image.fromarray(np.asarray(h) + shift), s, v)).convert("RGB")


def shear(image: Image.Image, slope: float) -> Image.Image:
    """fast-reid's."""
    matrix = (1, slope, 0, 0, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GRAY)


def rotate(image: Image.Image, degrees: float) -> Image.Image:
    """fast-reid's, which fills with gray."""
    turned = image.convert("RGBA").rotate(degrees)
    return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")


def grid(image: Image.Image, spacing: int) -> Image.Image:
    """Lines one pixel thick in two directions, turned by 31 degrees, of ImageNet's mean colour."""
    angle = np.pi * 31 / 180
    y, x = np.mgrid[: image.height, : image.width] + 0.5
    across = np.mod(np.cos(angle) * x + np.sin(angle) * y + 3.25, spacing) < 1
    along = np.mod(np.cos(angle) * y - np.sin(angle) * x + 7.5, spacing) < 1
    return Image.fromarray(np.where((across | along)[..., None], np.uint8([124, 116, 104]), np.asarray(image)))


def blur(image: Image.Image, side: int) -> Image.Image:
    """A Gaussian blur within the box 5, 3, side, side + 3, kernels cut off at 4 sigma, by its definition: one sum over two
    dimensions a pixel, pixels beyond the border those at it."""
    pixels = np.asarray(image).astype(np.float64)
    top, left, bottom, right = 3, 5, min(3 + side + 3, image.height), min(5 + side, image.width)
    sigma = min(bottom - top, right - left) / 4
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    result = np.array(image)
    for y in range(top, bottom):
        rows = np.clip(y + offsets, 0, image.height - 1)
        for x in range(left, right):
            window = pixels[rows][:, np.clip(x + offsets, 0, image.width - 1)]
            result[y, x] = np.floor((weights[..., None] * window).sum(axis=(0, 1)) + 0.5)
    return Image.fromarray(result)


OPERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "gray": lambda image: image.convert("L").convert("RGB"),
    "equalize": ImageOps.equalize,
    "autocontrast": ImageOps.autocontrast,
    "invert": ImageOps.invert,
    **{f"brightness {f}": lambda image, f=f: ImageEnhance.Brightness(image).enhance(f) for f in (0.85, 1.0, 1.15, 1.9)},
    **{f"contrast {f}": lambda image, f=f: ImageEnhance.Contrast(image).enhance(f) for f in (0.1, 0.85, 1.15, 1.9)},
    **{f"saturation {f}": lambda image, f=f: ImageEnhance.Color(image).enhance(f) for f in (0.0, 0.9, 1.1, 1.7)},
    **{f"sharpness {f}": lambda image, f=f: ImageEnhance.Sharpness(image).enhance(f) for f in (0.0, 0.3, 1.7)},
    **{f"hue {f}": lambda image, f=f: turn_hue(image, f) for f in (-0.5, -0.1, 0.0, 0.037, 0.1)},
    **{f"posterize {b}": lambda image, b=b: ImageOps.posterize(image, b) for b in (4, 5, 6, 8)},
    **{f"solarize {t}": lambda image, t=t: ImageOps.solarize(image, t) for t in (56.88888888888889, 128.0, 170.5)},
    **{f"shear {s}": lambda image, s=s: shear(image, s) for s in (-0.16666666666666666, 0.16666666666666666, 0.3)},
    **{f"rotate {d}": lambda image, d=d: rotate(image, d)
       for d in (*range(-10, 11), 26.666666666666668, 30.0, -4.25, 3.7) if d != 0},
    **{f"grid {s}": lambda image, s=s: grid(image, s) for s in (5, 24)},
    **{f"blur {s}": lambda image, s=s: blur(image, s) for s in (5, 9, 40)},
    **{f"roll {n}": lambda image, n=n: Image.fromarray(np.roll(np.asarray(image), n, axis=1)) for n in (-70, -3, 0, 7)},
}


def main() -> None:
    """Prints the table."""
    images = {"formula": formula(31, 64), "soft": soft(40, 22), "even": formula(48, 24)}
    for operation, apply in OPERATIONS.items():
        made = [apply(image).tobytes() for image in images.values()]
        if operation.startswith(("hue", "saturation")):
            made.append(apply(cube()).tobytes())
        print(operation, digest(b"".join(made)))


if __name__ == "__main__":
    main()
