"""What heads leave out of their maps in training, from the bits that Lineup counts: a mask is the same on both sides.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). Its key is the seed, the
mask's stream in the upper half; its counter is step, position in the batch (all ones for what the batch has in common),
purpose and number of the call. A call gives two 64-bit words, the first from the lower two of its four.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
PURPOSE = 5
WHOLE_BATCH = WORD


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Ten rounds of Philox4x32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & WORD, (left >> 32) ^ c3 ^ k1, left & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def words(seed: int, stream: int, step: int, position: int) -> Iterator[int]:
    """Random 64-bit words without end."""
    key = (seed & WORD, (seed >> 32 ^ stream) & WORD)
    call = 0
    while True:
        a, b, c, d = philox((step & WORD, position, PURPOSE, call), key)
        yield b << 32 | a
        yield d << 32 | c
        call += 1


def uniforms(seed: int, stream: int, step: int, position: int) -> Iterator[float]:
    """Uniform numbers in [0, 1) without end, one from the upper 53 bits of each word."""
    return ((word >> 11) * 2.0**-53 for word in words(seed, stream, step, position))


def stripe(x: Tensor, height: float, seed: int, stream: int, step: int) -> Tensor:
    """BatchDropBlock (Dai et al., 2019): one band of rows of all images is 0."""
    rows = x.shape[2]
    count = math.floor(height * rows + 0.5)
    first = next(words(seed, stream, step, WHOLE_BATCH)) * (rows - count + 1) >> 64
    mask = torch.ones(rows, dtype=x.dtype)
    mask[first : first + count] = 0
    return x * mask[:, None]


def channels(x: Tensor, rate: float, seed: int, stream: int, step: int) -> Tensor:
    """Tompson et al., 2015: a channel of an image is 0 with probability `rate`, and otherwise larger by 1/(1 − rate)."""
    images, count = x.shape[:2]
    mask = torch.zeros(images, count, dtype=torch.float64)
    for image in range(images):
        numbers = uniforms(seed, stream, step, image)
        for channel in range(count):
            if next(numbers) >= rate:
                mask[image, channel] = 1 / (1 - rate)
    return x * mask.to(x.dtype)[:, :, None, None]


def top_rows(x: Tensor, height: float) -> Tensor:
    """Top DropBlock (Quispe and Pedrini, 2020): the rows of each image whose largest Σ_c x² is among the largest are 0."""
    rows = x.shape[2]
    count = math.floor(height * rows + 0.5)
    strength = x.detach().square().sum(dim=1).amax(dim=2)
    dropped = strength.sort(dim=1, descending=True, stable=True).indices[:, :count]
    mask = torch.ones(len(x), rows, dtype=x.dtype).scatter(1, dropped, 0)
    return x * mask[:, None, :, None]
