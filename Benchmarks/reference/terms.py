"""The terms of a head's loss, each the mean over the batch of what its paper says of a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

USUAL_WEIGHTS = {"centre": 0.0005}


@dataclass(frozen=True)
class Term:
    """A loss term and its options."""

    kind: str
    options: dict[str, Any]

    def number(self, option: str, default: float) -> float:
        """An option that is a number."""
        return float(self.options.get(option, default))

    @property
    def weight(self) -> float:
        """What it counts in the loss."""
        return self.number("weight", USUAL_WEIGHTS.get(self.kind, 1.0))

    @property
    def name(self) -> str:
        """As Lineup's files name it."""
        return f"{self.options.get('kind', 'angular')}Margin" if self.kind == "margin" else self.kind

    def evaluate(self, embedding: Tensor, logits: Tensor, centres: Tensor | None, classes: Tensor) -> Tensor:
        """The term before its weight."""
        if self.kind == "crossEntropy":
            return F.cross_entropy(logits, classes, label_smoothing=self.number("smoothing", 0))
        if self.kind == "triplet":
            return triplet(embedding, classes, self.number("margin", 0.3), bool(self.options.get("soft", False)))
        if self.kind == "contrastive":
            return contrastive(embedding, classes, self.number("margin", 1))
        if self.kind == "weightedTriplet":
            return weighted_triplet(embedding, classes)
        if self.kind == "focal":
            return focal(logits, classes, self.number("exponent", 2))
        if self.kind == "margin":
            scale, margin = self.number("scale", 30), self.number("margin", 0.5)
            moved = MARGINS[self.options.get("kind", "angular")](logits, own_class(logits, classes), margin)
            return F.cross_entropy(scale * moved, classes)
        if self.kind == "centre":
            assert centres is not None
            return (embedding - centres.to(embedding.dtype)[classes]).square().sum(dim=1).mean() / 2
        raise SystemExit(f"losses: the reference has no {self.kind}")


def triplet(embedding: Tensor, classes: Tensor, margin: float, soft: bool = False) -> Tensor:
    """Batch-hard triplet: √max(d², 1e-12); farthest positive, nearest negative; mean over anchors.

    Of the hinge, or where it is `soft` of log(1 + exp(difference)). An anchor with no other image of its identity is its
    own farthest positive, at distance 1e-6.
    """
    squared = (embedding[:, None, :] - embedding[None, :, :]).square().sum(dim=2)
    distance = squared.clamp(min=1e-12).sqrt()
    same = classes[:, None] == classes[None, :]
    positive = distance.masked_fill(~same, -math.inf).amax(dim=1)
    negative = distance.masked_fill(same, math.inf).amin(dim=1)
    difference = positive - negative
    if soft:
        return torch.logaddexp(difference, torch.zeros_like(difference)).mean()
    return F.relu(difference + margin).mean()


def weighted_triplet(embedding: Tensor, classes: Tensor) -> Tensor:
    """AGW, Ye et al., 2022: softplus of the softmax-weighted farthest positives less the nearest negatives; d >= 1e-6."""
    squared = (embedding[:, None, :] - embedding[None, :, :]).square().sum(dim=2)
    distance = squared.clamp(min=1e-12).sqrt()
    same = classes[:, None] == classes[None, :]
    far = torch.softmax(distance.masked_fill(~same, -math.inf), dim=1)
    near = torch.softmax((-distance).masked_fill(same, -math.inf), dim=1)
    return F.softplus((far * distance).sum(dim=1) - (near * distance).sum(dim=1)).mean()


def contrastive(embedding: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Hadsell et al., 2006, over all pairs of the batch: d² of one identity, [m − d]₊² of two; d ≥ 1e-6. The mean of pairs."""
    pairs = torch.triu_indices(len(classes), len(classes), offset=1)
    squared = (embedding[pairs[0]] - embedding[pairs[1]]).square().sum(dim=1)
    distance = squared.clamp(min=1e-12).sqrt()
    alike = classes[pairs[0]] == classes[pairs[1]]
    return torch.where(alike, squared, F.relu(margin - distance).square()).mean()


def focal(logits: Tensor, classes: Tensor, exponent: float) -> Tensor:
    """Lin et al., 2017: −(1 − p)^γ log p of the label's probability."""
    log_p = F.log_softmax(logits, dim=1).gather(1, classes[:, None]).squeeze(1)
    return -((1 - log_p.exp()) ** exponent * log_p).mean()


def own_class(logits: Tensor, classes: Tensor) -> Tensor:
    """Whether a logit is that of the row's own class."""
    return F.one_hot(classes, logits.shape[1]).bool()


def additive(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """AM-Softmax, CosFace (both 2018): the label's cosine less the margin."""
    return torch.where(own, cosines - margin, cosines)


def angular(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """ArcFace (Deng et al., 2019): the margin added to the label's angle, up to π; beyond, cos θ − m sin m."""
    angle = torch.acos(cosines)
    moved = torch.where(angle < math.pi - margin, torch.cos(angle + margin), cosines - margin * math.sin(margin))
    return torch.where(own, moved, cosines)


def circle(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """Circle loss (Sun et al., 2020) of class-level labels: weights [O_p − s_p]₊ and [s_n − O_n]₊ held fixed.

    O_p = 1 + m, O_n = −m, Δ_p = 1 − m, Δ_n = m.
    """
    weight = torch.where(own, 1 + margin - cosines, cosines + margin).clamp(min=0).detach()
    return weight * torch.where(own, cosines - (1 - margin), cosines - margin)


MARGINS = {"additive": additive, "angular": angular, "circle": circle}
