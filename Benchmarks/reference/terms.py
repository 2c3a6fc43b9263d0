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
        if self.kind == "rankedList":
            numbers = self.number("boundary", 1.2), self.number("margin", 0.4), self.number("temperature", 10)
            return ranked_list(embedding, classes, *numbers)
        if self.kind == "topRank":
            numbers = self.number("slope", 10), self.number("asymmetry", 1), self.number("shape", 1)
            return top_rank(embedding, classes, *numbers)
        if self.kind == "focal":
            return focal(logits, classes, self.number("exponent", 2))
        if self.kind == "margin":
            scale, margin = self.number("scale", 30), self.number("margin", 0.5)
            moved = MARGINS[self.options.get("kind", "angular")](logits, own_class(logits, classes), margin)
            return confident_cross_entropy(scale * moved, classes, self.number("entropy", 0))
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


def unit_distances(embedding: Tensor) -> Tensor:
    """√max(d², 1e-12) of each pair of rows (B, B), scaled to unit length."""
    rows = F.normalize(embedding)
    return (rows[:, None, :] - rows[None, :, :]).square().sum(dim=2).clamp(min=1e-12).sqrt()


def mean_where(values: Tensor, weights: Tensor) -> Tensor:
    """Of each row its values' weighted mean (B), 0 where nothing has a weight."""
    total = weights.sum(dim=1)
    return (weights * values).sum(dim=1) / torch.where(total > 0, total, 1)


def ranked_list(embedding: Tensor, classes: Tensor, boundary: float, margin: float, temperature: float) -> Tensor:
    """Wang et al., 2019: positives within boundary − margin, negatives beyond the boundary, weighted by how far they are not.

    The weights exp(temperature·(boundary − d)) are held fixed; of a row's two means the mean counts.
    """
    distance = unit_distances(embedding)
    fixed = distance.detach()
    same = classes[:, None] == classes[None, :]
    others = ~torch.eye(len(classes), dtype=torch.bool)
    near = boundary - margin
    far_positives = (same & others & (fixed > near)).to(distance.dtype)
    near_negatives = torch.where(~same & (fixed < boundary), torch.exp(temperature * (boundary - fixed)), 0)
    positive = mean_where(distance - near, far_positives)
    negative = mean_where(boundary - distance, near_negatives)
    return ((positive + negative) / 2).mean()


def top_rank(embedding: Tensor, classes: Tensor, slope: float, asymmetry: float, shape: float) -> Tensor:
    """Top-rank counter, reconstructed: the share of positives nearer than the nearest negative, by a generalized logistic.

    1 − the mean over anchors that have a positive and a negative; 0 without such. The negative counted from is the first,
    as at the end of the mining's schedule.
    """
    distance = unit_distances(embedding)
    same = classes[:, None] == classes[None, :]
    positives = same & ~torch.eye(len(classes), dtype=torch.bool)
    anchors = positives.any(dim=1) & (~same).any(dim=1)
    if not bool(anchors.any()):
        return torch.zeros_like(embedding.sum())
    nearest = distance.masked_fill(same, math.inf).min(dim=1, keepdim=True).values
    counts = (1 + asymmetry * torch.exp(-slope * (nearest - distance))) ** (-1 / shape)
    return 1 - mean_where(counts[anchors], positives[anchors].to(distance.dtype)).mean()


def confident_cross_entropy(logits: Tensor, classes: Tensor, entropy: float) -> Tensor:
    """The rows' max(0, CE − entropy·H) over the number of those above 0; the plain mean of CE where `entropy` is 0."""
    if not entropy:
        return F.cross_entropy(logits, classes)
    log_p = F.log_softmax(logits, dim=1)
    rows = F.relu(F.nll_loss(log_p, classes, reduction="none") + entropy * (log_p.exp() * log_p).sum(dim=1))
    return rows.sum() / max(1, int((rows > 0).sum()))


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
