"""Attention at the end of a stage and in place of a block's ReLU, beside what `trunk.py` has inside of its blocks.

Written from the formulas of the design, not from Lineup's code. A gate is a member `gate` of its stage; tensors
have Lineup's names.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import masks

REDUCTION = 16
# Under the root of a length, so that it has a derivative at 0.
LENGTH_FLOOR = 1e-12
GRIDS = (1, 2, 4)
# Channels that an average of GSAM has in common.
GROUP = 4
# Streams of random bits: this and the number of the stage. Below are the heads'.
STREAM = 4096


class PixelGate(nn.Module):
    """Every pixel, or every pixel and channel, times σ of a 1×1 convolution of the map itself."""

    def __init__(self, channels: int, per_channel: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels if per_channel else 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv(x))


def unit(channels: int, outputs: int, kernel: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Convolution without bias, batch norm, ReLU."""
    convolution = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


class BottleneckAttention(nn.Module):
    """BAM (Park et al., 2018) without dilation: x·(1 + σ(channel + pixel))."""

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channel = nn.Sequential(*unit(channels, hidden), nn.Conv2d(hidden, channels, 1))
        self.pixel = nn.Sequential(
            *unit(channels, hidden), *unit(hidden, hidden, 3), *unit(hidden, hidden, 3), nn.Conv2d(hidden, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.sigmoid(self.channel(x.mean(dim=(2, 3), keepdim=True)) + self.pixel(x)))


class PyramidAttention(nn.Module):
    """APM: every channel times σ of what the averages of a 1×1, a 2×2 and a 4×4 grid say, each at its own pixels."""

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        for grid in GRIDS:
            setattr(self, f"grid{grid}", nn.Sequential(*unit(channels, hidden), nn.Conv2d(hidden, channels, 1)))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        total = torch.zeros_like(x)
        for grid in GRIDS:
            said = getattr(self, f"grid{grid}")(F.adaptive_avg_pool2d(x, (grid, grid)))
            # By integers: `interpolate` rounds the factor to float32.
            rows, columns = torch.arange(height) * grid // height, torch.arange(width) * grid // width
            total = total + said[:, :, rows][:, :, :, columns]
        return x * torch.sigmoid(total)


class GroupSum(nn.Module):
    """Weighted sums of four channels each, of what is left in the last; averages at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 1 / GROUP))

    def forward(self, x: Tensor) -> Tensor:
        weighted = x * self.weight.to(x.dtype)[:, None, None]
        return torch.stack([group.sum(dim=1) for group in weighted.split(GROUP, dim=1)], dim=1)


class GroupAttention(nn.Module):
    """GSAM: every pixel times σ of its channels, summed in groups of four until one is left."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels: list[str] = []
        while channels > 1:
            outputs = -(-channels // GROUP)
            level = nn.Sequential(GroupSum(channels), nn.BatchNorm2d(outputs))
            if outputs > 1:
                level.append(nn.ReLU())
            self.levels.append(f"level{len(self.levels)}")
            self.add_module(self.levels[-1], level)
            channels = outputs

    def forward(self, x: Tensor) -> Tensor:
        said = x
        for level in self.levels:
            said = self.get_submodule(level)(said)
        return x * torch.sigmoid(said)


class AttentionalActivation(nn.Sequential):
    """ATAC (Dai et al., 2020): a·σ(two 1×1 convolutions of a, each with its norm), each pixel by itself."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        hidden = max(1, channels // reduction)
        super().__init__(
            *unit(channels, hidden), nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, a: Tensor) -> Tensor:
        return a * torch.sigmoid(super().forward(a))


def activation(attention: str, options: dict[str, Any], channels: int) -> nn.Module:
    """What stands behind a norm inside of a block."""
    return AttentionalActivation(channels, **options) if attention == "atac" else nn.ReLU()


def pixels(x: Tensor) -> Tensor:
    """A map (B, C, h, w) as the vectors of its pixels (B, N, C), in float32 or float64."""
    flat = x.flatten(2).transpose(1, 2)
    return flat if x.dtype == torch.float64 else flat.float()


def unflattened(flat: Tensor, like: Tensor) -> Tensor:
    """Such vectors as a map again, of another's size and type."""
    return flat.transpose(1, 2).unflatten(2, like.shape[2:]).to(like.dtype)


class SelfAttention(nn.Module):
    """Queries, keys and values of pixels, and the sum of values by a softmax, times γ."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.query, self.key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """S (B, N, N), of which softmax takes the rows: dot products."""
        return query @ key.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (pixels(m(x)) for m in (self.query, self.key, self.value))
        attended = torch.softmax(self.scores(query, key), dim=2) @ value
        return x + unflattened(self.gamma * attended, x)


class PositionChannelAttention(SelfAttention):
    """SCAN: attention of pixels to pixels, and of channels to those that they have least in common with."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = pixels(x)
        gram = flat.transpose(1, 2) @ flat
        weights = torch.softmax(gram.amax(dim=2, keepdim=True) - gram, dim=2)
        return super().forward(x) + unflattened(self.beta * (flat @ weights.transpose(1, 2)), x)


def lengths(vectors: Tensor) -> Tensor:
    """√(|v|² + 1e-12) along the last axis, which stays."""
    return (vectors.square().sum(dim=-1, keepdim=True) + LENGTH_FLOOR).sqrt()


class DecoupledAttention(SelfAttention):
    """Angle and length apart: S = angle·cos(q, k) + norm·|k| / (the mean of |k|); without `norms` the angle alone."""

    def __init__(self, channels: int, norms: bool = True) -> None:
        super().__init__(channels)
        self.angle = nn.Parameter(torch.full((1,), 10.0))
        self.norm = nn.Parameter(torch.ones(1)) if norms else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        of_keys = lengths(key)
        found = self.angle * ((query / lengths(query)) @ (key / of_keys).transpose(1, 2))
        if self.norm is None:
            return found
        relative = of_keys / of_keys.mean(dim=1, keepdim=True)
        return found + self.norm * relative.transpose(1, 2)


class GuidedDropping(nn.Module):
    """DGDM: in training, dropout of weak channels, and the strongest pixels erased or all of them gated."""

    def __init__(
        self, stage: int, seed: int, channelRate: float = 0.25, erasing: float = 0.1, threshold: float = 0.75
    ) -> None:
        super().__init__()
        self.stream, self.seed = STREAM + stage, seed
        self.rate, self.erasing, self.threshold = channelRate, erasing, threshold
        self.step = 0  # what its bits are counted by

    def draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The channels of each image that are left (B, C), and which images are erased from (B)."""
        means = x.detach().mean(dim=(2, 3))
        strong = -(-x.shape[1] // 2)
        left = torch.ones_like(means)
        erased = torch.zeros(len(x), dtype=torch.bool)
        for image, order in enumerate(means.sort(dim=1, descending=True, stable=True).indices.tolist()):
            numbers = masks.uniforms(self.seed, self.stream, self.step, image)
            erased[image] = next(numbers) < self.erasing
            for channel in sorted(order[strong:]):
                if next(numbers) < self.rate:
                    left[image, channel] = 0
        return left, erased

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        left, erased = self.draw(x)
        x = x * left[:, :, None, None]
        attention = x.mean(dim=1, keepdim=True)
        fixed = attention.detach()
        peak = (fixed > self.threshold * fixed.amax(dim=(2, 3), keepdim=True)).to(x.dtype)
        spared = 1 - F.max_pool2d(peak, 3, stride=1, padding=1)
        return x * torch.where(erased[:, None, None, None], spared, torch.sigmoid(attention))


def stage_gate(attention: str, options: dict[str, Any], stage: int, channels: int, seed: int) -> nn.Module | None:
    """What stands at the end of a stage, or none."""
    late = stage >= 3
    if attention in ("pixel", "pixelChannel"):
        return PixelGate(channels, attention == "pixelChannel")
    if attention == "bam":
        return BottleneckAttention(channels, **options) if stage < 4 else None
    if attention == "apm":
        return PyramidAttention(channels, **options)
    if attention == "gsam":
        return GroupAttention(channels)
    if attention == "scan":
        return PositionChannelAttention(channels) if late else None
    if attention == "decoupled":
        return DecoupledAttention(channels, **options) if late else None
    if attention == "dgdm":
        return GuidedDropping(stage, seed, **options) if late else None
    return None
