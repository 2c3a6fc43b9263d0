"""The heads of `model.heads`: maps, masked and pooled into a feature, a neck, and a classifier.

Written from the papers, not from Lineup's code; `HeadOptions` knows how a configuration spells them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import masks
from attention import unit
from settings import Settings, part
from terms import Term

GEM_FLOOR = 1e-6
POOL_REDUCTION = 16  # of the gate that weighs pixels
# Streams of random bits that each head has, one for each of its maps.
STREAMS = 16


class HeadOutput(NamedTuple):
    """What losses see of a head: the embedding of metric losses, the logits, and the centres where a loss has them.

    Beside it the descriptor, where it is retrieved by.
    """

    embedding: Tensor
    logits: Tensor
    descriptor: Tensor | None = None
    centres: Tensor | None = None


@dataclass(frozen=True)
class HeadOptions:
    """One item of `model.heads`; the paper's own head has the same form."""

    terms: list[Term]
    name: str = "head"
    sources: list[str] = field(default_factory=list)
    mask: tuple[str, dict[str, Any]] = ("none", {})
    bands: int = 1
    band: int = 1
    pool: str = "average"
    neck: tuple[str, dict[str, Any]] = ("embedding", {})
    classifier: tuple[str, dict[str, Any]] = ("linear", {})
    label: str = "identity"
    groups: list[int] = field(default_factory=list)
    retrieve: bool = True

    def count(self, classes: int) -> int:
        """What the head tells apart: groups of the classes, where it has any."""
        return max(self.groups) + 1 if self.groups else classes

    def classes_of(self, labels: Tensor) -> Tensor:
        """The class of each row, or its group."""
        return torch.tensor(self.groups)[labels] if self.groups else labels


def head_options(settings: Settings) -> list[HeadOptions]:
    """The heads, the paper's with the losses of the section `losses` where none are given."""
    if not settings["model.heads"]:
        cross_entropy = {key: settings[f"losses.crossEntropy.{key}"] for key in ("weight", "smoothing")}
        triplet = {key: settings[f"losses.triplet.{key}"] for key in ("weight", "margin", "soft")}
        return [HeadOptions([Term("crossEntropy", cross_entropy), Term("triplet", triplet)])]
    found = []
    for item in settings["model.heads"]:
        unknown = item.keys() - (HeadOptions.__dataclass_fields__.keys() - {"terms"} | {"losses"})
        if unknown:
            raise SystemExit(f"model.heads: a head has no option {sorted(unknown)[0]}")
        parts = {key: part(item[key]) for key in ("mask", "neck", "classifier") if key in item}
        plain = {key: item[key] for key in ("name", "sources", "bands", "band", "pool", "label", "groups", "retrieve")
                 if key in item}
        terms = [Term(*part(value)) for value in item.get("losses", ["crossEntropy", "triplet"])]
        found.append(HeadOptions(terms, **plain, **parts))
    return found


class Average(nn.Module):
    """The mean over an image's pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Max(nn.Module):
    """The largest of an image's pixels; the first of equal ones bears the derivative."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).max(dim=2).values


class GeneralizedMean(nn.Module):
    """GeM (Radenović et al., 2018): (mean of max(x, 1e-6)^p)^(1/p), with a trained p."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.p.dtype).clamp(min=GEM_FLOOR).pow(self.p).mean(dim=(2, 3)).pow(1 / self.p)


class AttentivePool(nn.Module):
    """GLAP, reconstructed: (Σ a·max(x, 1e-6)^p / Σ a)^(1/p), a = σ of two convolutions at each pixel, with a trained p."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // POOL_REDUCTION)
        self.gate = nn.Sequential(*unit(channels, hidden, 3), nn.Conv2d(hidden, 1, 1))
        self.p = nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.gate(x).to(self.p.dtype))
        powers = x.to(self.p.dtype).clamp(min=GEM_FLOOR).pow(self.p)
        return ((weights * powers).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))).pow(1 / self.p)


POOLS: dict[str, Callable[[int], nn.Module]] = {
    "average": lambda channels: Average(),
    "max": lambda channels: Max(),
    "gem": lambda channels: GeneralizedMean(),
    "attention": AttentivePool,
}


class Neck(nn.Module):
    """BatchNorm → linear → ReLU on the feature: the embedding."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)
        self.fc = nn.Linear(channels, embedding)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc(self.bn(x)))


class BNNeck(nn.Module):
    """Luo et al., 2019: metric losses see the feature itself, the classifier its batch norm, without a shift."""

    def __init__(self, channels: int, shift: bool) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)
        if not shift:
            self.bn.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


class ParametricNeck(nn.Module):
    """Linear → BatchNorm → PReLU of one slope (Sovrasov and Sidnev): the embedding."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, embedding)
        self.bn = nn.BatchNorm1d(embedding)
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.fc(x)))


class CosineClassifier(nn.Module):
    """The cosines of the embedding and of each class's weights."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, inputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Any length will do."""
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x.to(self.weight.dtype)), F.normalize(self.weight))


class Centres(nn.Module):
    """A centre for each class, of the centre loss."""

    def __init__(self, classes: int, length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, length))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Standard normal."""
        nn.init.normal_(self.weight)


class Head(nn.Module):
    """One head."""

    def __init__(
        self, options: HeadOptions, index: int, sources: dict[str, int], settings: Settings, classes: int
    ) -> None:
        """`sources`: the maps it reads and their channels, in order; `index`: its place among the heads."""
        super().__init__()
        self.sources = list(sources)
        self.mask, self.mask_options = options.mask
        self.band, self.bands = options.band - 1, options.bands
        self.stream = STREAMS * index
        self.seed: int = settings["seed"]
        self.retrieve = options.retrieve
        self.pool = nn.ModuleDict({source: POOLS[options.pool](count) for source, count in sources.items()})
        features = sum(sources.values())
        kind, neck = options.neck
        self.is_bnneck = kind == "bnneck"
        length = features if self.is_bnneck else neck.get("length", 0) or settings["model.embedding"]
        if self.is_bnneck:
            self.neck: nn.Module = BNNeck(features, neck.get("shift", False))
        else:
            self.neck = (ParametricNeck if kind == "prelu" else Neck)(features, length)
        kind, classifier = options.classifier
        self.classifier = (
            CosineClassifier(length, classes) if kind == "cosine"
            else nn.Linear(length, classes, bias=classifier.get("bias", True)))
        self.centre = Centres(classes, length) if any(term.kind == "centre" for term in options.terms) else None

    def masked(self, x: Tensor, source: int, step: int) -> Tensor:
        """The map of a source as training sees it."""
        if not self.training or self.mask == "none":
            return x
        if self.mask == "topRows":
            return masks.top_rows(x, self.mask_options.get("height", 0.33))
        stream = self.stream + source
        if self.mask == "stripe":
            return masks.stripe(x, self.mask_options.get("height", 0.33), self.seed, stream, step)
        return masks.channels(x, self.mask_options.get("rate", 0.5), self.seed, stream, step)

    def cut(self, x: Tensor) -> Tensor:
        """The head's band of a map: the rows that adaptive pooling takes for one of its rows."""
        rows = x.shape[2]
        return x[:, :, self.band * rows // self.bands : -(-(self.band + 1) * rows // self.bands)]

    def forward(self, maps: dict[str, Tensor], step: int) -> HeadOutput:
        pooled = [self.pool[s](self.cut(self.masked(maps[s], index, step))) for index, s in enumerate(self.sources)]
        feature = torch.cat(pooled, dim=1)
        classified = self.neck(feature)
        embedding = feature if self.is_bnneck else classified
        centres = self.centre.weight if self.centre is not None else None
        return HeadOutput(embedding, self.classifier(classified), classified if self.retrieve else None, centres)
