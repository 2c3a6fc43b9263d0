"""What turns images into maps: ResNet-18, 34, 50 and 101 as torchvision has them, with IBN-a, OSNet, and attention.

Written from the papers, not from Lineup's code; tensor names are torchvision's, and for what it has not, Lineup's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import osnet
from attention import activation, stage_gate
from settings import Settings, part

REDUCTION = 16  # of squeeze-and-excitation, the authors'


def scaled(channels: int, width: float) -> int:
    """`channels * width`, halves rounded away from zero, at least one."""
    return max(1, math.floor(channels * width + 0.5))


class MixedNorm(nn.Module):
    """IBN (Pan et al., 2018): instance norm of the first half of the channels, batch norm of the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.IN = nn.InstanceNorm2d(self.half, affine=True) if self.half else None
        self.BN = nn.BatchNorm2d(channels - self.half)

    def forward(self, x: Tensor) -> Tensor:
        if self.IN is None:
            return self.BN(x)
        first, rest = x.split([self.half, x.shape[1] - self.half], dim=1)
        return torch.cat([self.IN(first), self.BN(rest)], dim=1)


class SqueezeExcitation(nn.Module):
    """Hu et al., 2018: every channel times σ(W₂·ReLU(W₁·means + b₁) + b₂)."""

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class EfficientChannelAttention(nn.Module):
    """Wang et al., 2020: every channel times σ of a convolution over the means of its neighbours in the order of channels."""

    def __init__(self, channels: int, kernel: int = 0) -> None:
        super().__init__()
        # The authors' code: t = int(abs((log2(C) + b) / gamma)), b = 1, gamma = 2; k = t if t is odd, else t + 1.
        t = int(abs((math.log2(channels) + 1) / 2))
        size = kernel or (t if t % 2 else t + 1)
        self.conv = nn.Conv1d(1, 1, size, padding=(size - 1) // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3))[:, None, :]
        return x * torch.sigmoid(self.conv(means))[:, 0, :, None, None]


def gate_channels(block: nn.Module, attention: str, options: dict[str, Any], channels: int) -> None:
    """Gives a block the gate that comes before its join, by the name that its tensors have; or none."""
    block.se = SqueezeExcitation(channels, **options) if attention == "se" else None
    block.eca = EfficientChannelAttention(channels, **options) if attention == "eca" else None


def gated(block: nn.Module, y: Tensor) -> Tensor:
    """The end of a block's branch, through its gate where it has one."""
    gate = block.se if block.se is not None else block.eca
    return y if gate is None else gate(y)  # type: ignore[operator]


class NonLocal(nn.Module):
    """Wang et al., 2018, with dot products over N in place of the softmax, as AGW (Ye et al., 2022) has it; no bias before the norm."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        inner = inner or max(1, channels // 2)
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.W[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = (m(x).flatten(2) for m in (self.theta, self.phi, self.g))  # (B, inner, N)
        attention = theta.transpose(1, 2) @ phi / theta.shape[2]  # (B, N, N)
        y = (attention @ g.transpose(1, 2)).transpose(1, 2)
        return x + self.W(y.unflatten(2, x.shape[2:]))


def first_norm(channels: int, mixed: bool) -> nn.Module:
    """The norm that IBN-a is about."""
    return MixedNorm(channels) if mixed else nn.BatchNorm2d(channels)


def shortcut(channels: int, outputs: int, stride: int) -> nn.Module | None:
    """A projection where the block changes the shape of its map."""
    if stride == 1 and channels == outputs:
        return None
    return nn.Sequential(nn.Conv2d(channels, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """torchvision's basic block: 3×3 with the stride, 3×3."""

    expansion = 1

    def __init__(
        self, channels: int, inner: int, stride: int, mixed: bool, attention: tuple[str, dict[str, Any]]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 3, stride=stride, padding=1, bias=False)
        self.bn1 = first_norm(inner, mixed)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.atac1 = activation(*attention, inner)
        gate_channels(self, *attention, inner)
        self.downsample = shortcut(channels, inner, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.atac1(self.bn1(self.conv1(x)))
        y = gated(self, self.bn2(self.conv2(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """torchvision's bottleneck: 1×1, 3×3 with the stride, 1×1 to four times the inner channels."""

    expansion = 4

    def __init__(
        self, channels: int, inner: int, stride: int, mixed: bool, attention: tuple[str, dict[str, Any]]
    ) -> None:
        super().__init__()
        outputs = self.expansion * inner
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = first_norm(inner, mixed)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.atac1, self.atac2 = activation(*attention, inner), activation(*attention, inner)
        gate_channels(self, *attention, outputs)
        self.downsample = shortcut(channels, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.atac1(self.bn1(self.conv1(x)))
        y = self.atac2(self.bn2(self.conv2(y)))
        y = gated(self, self.bn3(self.conv3(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


# The stages whose blocks have ATAC.
ATAC = (3, 4)
KINDS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


class Trunk(nn.Module):
    """The layers up to the stages' outputs, as direct members, so that they have torchvision's names."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        attention, options = part(settings["model.attention"])
        self.is_osnet: bool = settings["model.trunk"] in ("osnet", "osnetAin")
        self.border = (
            {"stride": 2, "padding": 1} if settings["model.maxPool"] == "padded" else {"stride": 2, "ceil_mode": True})
        seed: int = settings["seed"]
        if self.is_osnet:
            if attention == "atac":
                raise SystemExit("model.attention: atac is part of a ResNet's blocks, OSNet has none of these")
            osnet.members(
                self, lambda full: scaled(full, settings["model.width"]), settings["model.trunk"] == "osnetAin",
                lambda block, channels: gate_channels(block, attention, options, channels), gated,
                lambda stage, channels: stage_gate(attention, options, stage, channels, seed))
            return
        block, blocks = KINDS[settings["model.trunk"]]
        base = [scaled(c, settings["model.width"]) for c in (64, 128, 256, 512)]
        strides = (1, 2, 2, settings["model.lastStride"])
        self.conv1 = nn.Conv2d(3, base[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base[0])
        channels = base[0]
        nonlocal_blocks = options.get("blocks", [0, 2, 3, 0]) if attention == "nonLocal" else [0] * 4
        for stage, (inner, count, stride) in enumerate(zip(base, blocks, strides), start=1):
            mixed = settings["model.norm"] == "ibn-a" and stage < 4
            layers, behind = nn.Sequential(), nn.ModuleList()
            others = nonlocal_blocks[stage - 1]
            inside = (attention, options) if attention != "atac" or stage in ATAC else ("none", {})
            for index in range(count):
                first = stride if index == 0 else 1
                layers.add_module(str(index), block(channels, inner, first, mixed, inside))
                channels = block.expansion * inner
                if index >= count - others:
                    behind.append(NonLocal(channels, options.get("channels", 1)))
            if len(behind):
                setattr(self, f"NL_{stage}", behind)
            if (gate := stage_gate(attention, options, stage, channels, seed)) is not None:
                layers.add_module("gate", gate)
            setattr(self, f"layer{stage}", layers)
        self.channels = {s: block.expansion * base[s - 1] for s in range(1, 5)}

    def maps(self, x: Tensor) -> dict[int, Tensor]:
        """Images (B, 3, H, W) to the stage outputs c1..c4."""
        if self.is_osnet:
            return osnet.maps(self, x)
        y = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, **self.border)
        maps: dict[int, Tensor] = {}
        for stage in range(1, 5):
            layers, behind = getattr(self, f"layer{stage}"), getattr(self, f"NL_{stage}", [])
            for index, layer in enumerate(layers):
                y = layer(y)
                if index >= len(layers) - len(behind):
                    y = behind[index - len(layers) + len(behind)](y)
            maps[stage] = y
        return maps
