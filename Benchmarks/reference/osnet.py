"""OSNet and OSNet-AIN, written from the papers (ICCV 2019; arXiv 1910.06827) and the published tensor names.

`members` gives a network the layers by torchreid's names, `maps` runs them: conv2, conv3 and conv4 with the transition before
each are stages 1 to 3, conv5 is stage 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (64, 256, 384, 512)
STREAMS = 4
REDUCTION = 16  # of the aggregation gate
# The blocks of OSNet-AIN that have instance norm, by stage.
INSTANCE = {1: (True, True), 2: (False, True), 3: (True, False)}


class Unit(nn.Module):
    """1×1 (or other) convolution, a norm, and ReLU or none."""

    def __init__(self, channels: int, outputs: int, kernel: int = 1, stride: int = 1, relu: bool = True,
                 instance: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.InstanceNorm2d(outputs, affine=True) if instance else nn.BatchNorm2d(outputs)
        self.rectified = relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        return F.relu(y) if self.rectified else y


class Light(nn.Module):
    """Lite 3×3: 1×1, then 3×3 channel by channel with norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv2(self.conv1(x))))


class Stream(nn.Module):
    """AIN's names for Lite 3×3s one after the other."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class AggregationGate(nn.Module):
    """σ of two 1×1 convolutions of the means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))).sigmoid()


class Projection(nn.Module):
    """A convolution whose norm, if it has one of its own, is called bn."""

    def __init__(self, channels: int, outputs: int, bn: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if bn else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y if self.bn is None else self.bn(y)


class Block(nn.Module):
    """The omni-scale block; `attend` puts a gate before the join, `gated` runs it."""

    def __init__(self, channels: int, outputs: int, adaptive: bool, instance: bool,
                 attend: Callable[[nn.Module, int], None], gated: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        inner = max(1, outputs // 4)
        self.conv1 = Unit(channels, inner)
        streams = [nn.Sequential(*(Light(inner) for _ in range(t + 1))) for t in range(STREAMS)]
        if adaptive:
            self.conv2 = nn.ModuleList(Stream(stream) for stream in streams)
        else:
            self.conv2a, self.conv2b, self.conv2c, self.conv2d = streams[0][0], *streams[1:]
        self.gate = AggregationGate(inner)
        self.conv3 = Projection(inner, outputs, bn=not instance)
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance else None
        attend(self, outputs)
        self.downsample = Unit(channels, outputs, relu=False) if channels != outputs else None
        self.adaptive, self.gated = adaptive, gated

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        streams = self.conv2 if self.adaptive else (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        y = self.conv3(sum(self.gate(stream(y)) for stream in streams))
        y = self.gated(self, y if self.IN is None else self.IN(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def members(network: Any, width: Callable[[int], int], adaptive: bool, attend: Callable[[nn.Module, int], None],
            gated: Callable[[nn.Module, Tensor], Tensor], last: Callable[[int, int], nn.Module | None]) -> None:
    """The layers of the trunk, and the channels of its stages; `last`: a gate at the end of a stage, or none."""
    channels = [width(full) for full in CHANNELS]
    network.conv1 = Unit(3, channels[0], kernel=7, stride=2, instance=adaptive)
    for stage, instances in INSTANCE.items():
        layers = nn.Sequential()
        for index, instance in enumerate(instances):
            inputs = channels[stage - 1] if index == 0 else channels[stage]
            layers.add_module(str(index), Block(inputs, channels[stage], adaptive, adaptive and instance, attend, gated))
        if stage < 3:
            transition = nn.Sequential(Unit(channels[stage], channels[stage]), nn.AvgPool2d(2, 2))
            if adaptive:
                setattr(network, f"pool{stage + 1}", transition)
            else:
                layers.add_module("2", transition)
        if (gate := last(stage, channels[stage])) is not None:
            layers.add_module("gate", gate)
        setattr(network, f"conv{stage + 1}", layers)
    network.conv5 = Unit(channels[3], channels[3])
    if (gate := last(4, channels[3])) is not None:
        network.conv5.gate = gate
    network.channels = {1: channels[1], 2: channels[2], 3: channels[3], 4: channels[3]}


def maps(network: Any, x: Tensor) -> dict[int, Tensor]:
    """Images (B, 3, H, W) to the stage outputs c1..c4."""
    y = F.max_pool2d(network.conv1(x), 3, **network.border)
    found: dict[int, Tensor] = {}
    for stage in range(1, 4):
        layers = getattr(network, f"conv{stage + 1}")
        y = layers[1](layers[0](y))
        y = layers.gate(y) if hasattr(layers, "gate") else y
        found[stage] = y
        if stage < 3:
            y = getattr(network, f"pool{stage + 1}")(y) if hasattr(network, "pool2") else layers.get_submodule("2")(y)
    y = network.conv5(y)
    found[4] = network.conv5.gate(y) if hasattr(network.conv5, "gate") else y
    return found
