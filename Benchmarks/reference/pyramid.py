"""The pyramid of MSFL, plain and with gates, and the sum of its levels.

Written from the formulas of the design, not from Lineup's code; tensors have Lineup's names.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention import REDUCTION, unit
from settings import Settings, part
from trunk import NonLocal


class Pyramid(nn.Module):
    """Lateral 1×1 convolutions and the top-down path: p_s = lateral_s(c_s) + smooth(upsample(p_above)).

    Above s is the next fused stage: s + 1, unless `model.stages` has a gap.
    """

    def __init__(self, inputs: dict[int, int], channels: int, settings: Settings) -> None:
        super().__init__()
        self.stages: list[int] = sorted(settings["model.stages"])
        self.top_down: bool = settings["model.topDown"]
        self.shared: bool = settings["model.sharedPyramid"]
        with_lateral = self.stages if settings["model.lateral"] else [4]
        self.lateral = nn.ModuleDict({str(s): nn.Conv2d(inputs[s], channels, 1) for s in with_lateral})
        targets = [s for s in self.stages if s < 4] if self.top_down else []
        if targets and self.shared:
            self.smooth: nn.Module = nn.Conv2d(channels, channels, 1)
        elif targets:
            self.smooth = nn.ModuleDict({str(s): nn.Conv2d(channels, channels, 1) for s in targets})
        kind, options = part(settings["model.pyramid"])
        self.kind, reduction = kind, options.get("reduction", REDUCTION)
        hidden = max(1, channels // reduction)
        if kind == "pam":
            self.inputs = nn.ModuleDict({str(s): InputGate(self.stages, inputs[s], hidden) for s in self.stages})
        elif kind == "darn":
            self.gates = nn.ModuleDict({str(s): LevelGates(inputs[s], channels, hidden) for s in targets})

    def forward(self, maps: dict[int, Tensor]) -> dict[int, Tensor]:
        if self.kind == "pam":
            hidden = {s: self.inputs[str(s)].squeeze(mean(maps[s])) for s in self.stages}  # type: ignore[operator]
            maps = maps | {s: maps[s] * self.inputs[str(s)](hidden) for s in self.stages}
        if not self.top_down:
            return {s: self.lateral[str(s)](maps[s]) for s in self.stages}
        above = self.lateral["4"](maps[4])
        levels = {4: above}
        for s in reversed(self.stages[:-1]):
            below = above
            # With a last stride of 1 stages 3 and 4 have one size, which nearest interpolation leaves alone.
            above = F.interpolate(above, size=maps[s].shape[2:], mode="nearest")
            smooth = self.smooth if self.shared else self.smooth[str(s)]  # type: ignore[index]
            above = smooth(above)
            if self.kind == "darn":
                gates = self.gates[str(s)]
                above = above * torch.sigmoid(gates.pixels(maps[s]))  # type: ignore[operator]
                lateral = self.lateral[str(s)](maps[s])
                lateral = lateral * torch.sigmoid(gates.channels(gates.squeeze(mean(below))))  # type: ignore[operator]
                levels[s] = above = lateral + above
            else:
                levels[s] = above = self.lateral[str(s)](maps[s]) + above if str(s) in self.lateral else above
        return levels


def mean(x: Tensor) -> Tensor:
    """Over the pixels, which become one."""
    return x.mean(dim=(2, 3), keepdim=True)


class InputGate(nn.Module):
    """PAM: what a stage says of itself to all (`squeeze`), and from what all say a gate a channel of its own output."""

    def __init__(self, stages: list[int], channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(*unit(channels, hidden))
        for index, s in enumerate(stages):
            self.add_module(f"from{s}", nn.Conv2d(hidden, channels, 1, bias=index == 0))

    def forward(self, hidden: dict[int, Tensor]) -> Tensor:
        return torch.sigmoid(sum(getattr(self, f"from{s}")(u) for s, u in hidden.items()))  # type: ignore[arg-type]


class LevelGates(nn.Module):
    """DARN: the level above opens channels of the stage's part, the stage pixels of that of the level above."""

    def __init__(self, stage: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(*unit(channels, hidden))
        self.channels = nn.Conv2d(hidden, channels, 1)
        self.pixels = nn.Conv2d(stage, 1, 1)


class LevelSum(nn.Module):
    """GRoIE with the whole image for a region: units on the means of each level at the last one's size, their sum, attention."""

    def __init__(self, stages: list[int], channels: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.levels = nn.ModuleDict({str(s): nn.Sequential(*unit(channels, channels, options.get("kernel", 5))) for s in stages})
        self.attention = NonLocal(channels, max(1, channels // 2)) if options.get("attention", True) else None

    def forward(self, fused: dict[int, Tensor]) -> Tensor:
        size = fused[max(fused)].shape[2:]
        total = torch.stack([self.levels[str(s)](F.adaptive_avg_pool2d(x, size)) for s, x in fused.items()]).sum(dim=0)
        return total if self.attention is None else self.attention(total)
