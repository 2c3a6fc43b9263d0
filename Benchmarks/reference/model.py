"""The network for re-identification, ResNet-50 with MSFL or other parts, in plain PyTorch with Lineup's tensor names.

Written from the design, not from Lineup's code, so that the two can check each other.
`python model.py` prints parameters and multiply-adds beside the figures of the paper's Table II.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import settings as configuration
from attention import GroupSum, GuidedDropping, SelfAttention
from filters import FILTERS, bias_for_norms, replace
from heads import Centres, CosineClassifier, Head, HeadOutput, Neck, head_options
from pyramid import LevelSum, Pyramid
from settings import Settings, part
from trunk import Bottleneck, NonLocal, Trunk, scaled

# Parameters of torchvision's ResNets without `fc`.
TORCHVISION = {"resnet18": 11_176_512, "resnet34": 21_284_672, "resnet50": 23_508_032, "resnet101": 42_500_160}
FUSION_USES = {1: 3, 2: 2, 3: 1, 4: 0}
# The types of crop: whole; three quarters, half and a third of it from above and from below.
PARTS = 7


class FusionConvolutions(nn.Module):
    """The three convolutions of one fusion bottleneck."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)


class FusionNorms(nn.Module):
    """The three batch norms of one use of a fusion bottleneck."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.bn3 = nn.BatchNorm2d(channels)


class Fusion(FusionConvolutions):
    """MSFF: 3, 2, 1, 0 bottlenecks with identity shortcut on p1..p4; one set of convolutions where shared."""

    def __init__(self, channels: int, inner: int, settings: Settings) -> None:
        super().__init__(channels, inner)
        uses = {s: FUSION_USES[s] for s in sorted(settings["model.stages"]) if FUSION_USES[s]}
        if not settings["model.sharedPyramid"]:
            del self.conv1, self.conv2, self.conv3
            self.blocks = nn.ModuleDict({
                str(s): nn.ModuleList(FusionConvolutions(channels, inner) for _ in range(n)) for s, n in uses.items()
            })
        self.norms = nn.ModuleDict({
            str(s): nn.ModuleList(FusionNorms(channels, inner) for _ in range(n)) for s, n in uses.items()
        })
        self.shared: bool = settings["model.sharedPyramid"]

    def forward(self, maps: dict[int, Tensor]) -> dict[int, Tensor]:
        fused = dict(maps)
        for stage, norms in self.norms.items():
            x = maps[int(stage)]
            for use, norm in enumerate(norms):  # type: ignore[arg-type]
                convolutions = self if self.shared else self.blocks[stage][use]  # type: ignore[index]
                y = F.relu(norm.bn1(convolutions.conv1(x)))
                y = F.relu(norm.bn2(convolutions.conv2(y)))
                x = F.relu(norm.bn3(convolutions.conv3(y)) + x)
            fused[int(stage)] = x
        return fused


class ReIDNetwork(Trunk):
    """The whole network: trunk, pyramid and heads. The paper's own head has its tensors' names without a prefix."""

    def __init__(self, settings: Settings, identities: int, cameras: int = 1) -> None:
        super().__init__(settings)
        if settings["model.filters"] != "plain":
            replace(self, FILTERS[settings["model.filters"]])  # the trunk: all else comes below
        if settings["model.norm"] == "bias":
            bias_for_norms(self)
        width: float = settings["model.width"]
        self.step = 0  # what random masks are counted by
        self.stages: list[int] = [4] if settings["model.head"] == "baseline" else sorted(settings["model.stages"])
        self.pyramid: Pyramid | None = None
        self.fusion: Fusion | None = None
        channels = {f"stage{s}": c for s, c in self.channels.items()}
        self.usual = [f"stage{s}" for s in self.stages]
        # Neither lateral nor top-down is "direct fusion": the averages of the stages themselves.
        if settings["model.head"] == "msfl" and (settings["model.lateral"] or settings["model.topDown"]):
            pyramid = scaled(512, width)
            self.pyramid = Pyramid(self.channels, pyramid, settings)
            if settings["model.fusion"] and min(self.stages) < 4:
                self.fusion = Fusion(pyramid, scaled(128, width), settings)
            self.usual = [f"level{s}" for s in self.stages]
            channels.update({source: pyramid for source in self.usual})
        kind, branch = part(settings["model.branch"])
        self.branch: nn.Module | None = None
        if kind == "bottlenecks":
            self.branch = nn.Sequential(*self.bottlenecks(branch.get("count", 2), settings))
            channels["branch"] = 4 * max(1, self.channels[4] // 4)
        elif kind == "groie":
            self.branch = LevelSum(self.stages, pyramid, branch)
            channels["branch"] = pyramid
        classes = {"identity": identities, "camera": cameras, "part": PARTS}
        self.heads: nn.ModuleDict | None = None
        if settings["model.heads"]:
            self.heads = nn.ModuleDict()
            for index, options in enumerate(head_options(settings)):
                sources = {source: channels[source] for source in options.sources or self.usual}
                self.heads[options.name] = Head(options, index, sources, settings, options.count(classes[options.label]))
        else:
            self.neck = Neck(sum(channels[source] for source in self.usual), settings["model.embedding"])
            self.classifier = nn.Linear(settings["model.embedding"], identities)

    def bottlenecks(self, count: int, settings: Settings) -> list[nn.Module]:
        """Top-DB-Net's bottlenecks behind the last stage; a projection where four times the inner channels are others."""
        inner = max(1, self.channels[4] // 4)
        inputs = [self.channels[4], *[4 * inner] * (count - 1)]
        return [Bottleneck(c, inner, 1, mixed=False, attention=part(settings["model.attention"])) for c in inputs]

    def forward(self, x: Tensor) -> tuple[list[HeadOutput], dict[int, Tensor]]:
        """Images (B, 3, H, W) to embedding (B, E) and logits (B, classes) of each head, and the stage outputs c1..c4."""
        for module in self.modules():
            if isinstance(module, GuidedDropping):
                module.step = self.step
        stages = self.maps(x)
        fused = self.pyramid(stages) if self.pyramid is not None else {}
        fused = self.fusion(fused) if self.fusion is not None else fused
        maps = {f"stage{s}": y for s, y in stages.items()} | {f"level{s}": y for s, y in fused.items()}
        if self.branch is not None:
            maps["branch"] = self.branch(fused if isinstance(self.branch, LevelSum) else stages[4])
        if self.heads is not None:
            return [head(maps, self.step) for head in self.heads.values()], stages
        embedding = self.neck(torch.cat([maps[source].mean(dim=(2, 3)) for source in self.usual], dim=1))
        return [HeadOutput(embedding, self.classifier(embedding), embedding)], stages


def initialize(model: nn.Module, seed: int) -> None:
    """He initialization by fan-out for convolutions as torchvision has it; linear layers as PyTorch has them."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Linear, CosineClassifier, Centres)):
            module.reset_parameters()
        elif isinstance(module, NonLocal):
            nn.init.normal_(module.W[1].weight)  # at 0, where it begins, nothing inside has a gradient to compare
        elif isinstance(module, (SelfAttention, GroupSum)):
            for factor in module.parameters(recurse=False):
                factor.data.add_(0.3 * torch.randn_like(factor))  # likewise


def load(model: nn.Module, path: str | Path) -> None:
    """Every tensor of the model from a safetensors file, by name; a missing, extra or misshapen one is an error."""
    stored = {name: t for name, t in load_file(path).items() if not name.endswith("num_batches_tracked")}
    wanted = {name: t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    missing, extra = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    if missing or extra:
        raise SystemExit(f"{path}: missing {missing[:5]} ({len(missing)}), unexpected {extra[:5]} ({len(extra)})")
    for name, tensor in wanted.items():
        if stored[name].shape != tensor.shape:
            raise SystemExit(f"{path}: {name} is {list(stored[name].shape)}, expected {list(tensor.shape)}")
        tensor.copy_(stored[name])


def count(settings: Settings) -> tuple[float, float]:
    """Parameters (millions) and forward multiply-adds an image (billions), both without the classifier."""
    model = ReIDNetwork(settings, 1).eval()
    parameters = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("classifier."))
    total = 0

    def add(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight: Tensor = module.weight  # type: ignore[assignment]
        total += output.numel() * weight[0].numel()

    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and name != "classifier":
            module.register_forward_hook(add)
    with torch.no_grad():
        model(torch.zeros(1, 3, settings["input.height"], settings["input.width"]))
    return parameters / 1e6, total / 1e9


def main() -> None:
    """Counts of every variant; fails if the two of the paper's Table II, or torchvision's of the trunks, are missed."""
    variants = {
        "baseline": (["model.head=baseline"], (24.56, 2.67)),
        "baseline, last stride 1": (["model.head=baseline", "model.lastStride=1"], None),
        "MSFL": ([], (27.08, 5.91)),
        "MSFL, own weights for each use": (["model.sharedPyramid=false"], None),
        "MSFL without fusion": (["model.fusion=false"], None),
        "MSFL without lateral": (["model.lateral=false"], None),
        "MSFL without top-down": (["model.topDown=false"], None),
        "direct fusion": (["model.lateral=false", "model.topDown=false"], None),
    }
    failed = False
    for name, (overrides, expected) in variants.items():
        parameters, operations = count(configuration.resolve(None, overrides))
        verdict = ""
        if expected is not None:
            right = abs(parameters - expected[0]) < 0.006 and abs(operations - expected[1]) < 0.006
            verdict = "ok" if right else f"FAIL, expected {expected[0]} M / {expected[1]} G"
            failed |= not right
        print(f"{name:32} {parameters:7.3f} M  {operations:6.3f} G multiply-adds  {verdict}")
    for name, expected in TORCHVISION.items():
        found = sum(p.numel() for p in Trunk(configuration.resolve(None, [f"model.trunk={name}"])).parameters())
        print(f"{name:32} {found} parameters of the trunk  {'ok' if found == expected else f'FAIL, expected {expected}'}")
        failed |= found != expected
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
