"""The losses and one training step: cross-entropy, batch-hard triplet, the gradient regularizer (MSGR), adaptive L2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive import AdaptiveL2
from model import ReIDNetwork
from settings import Settings

INITIAL_SCALE = 2.0**15


@dataclass
class Step:
    """What one step leaves behind: all in float64, gradients by parameter name and unscaled."""

    embedding: Tensor
    logits: Tensor
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]


def triplet(embedding: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet: √max(d², 1e-12); farthest positive, nearest negative; mean of the hinges over anchors.

    An anchor with no other image of its identity is its own farthest positive, at distance 1e-6.
    """
    squared = (embedding[:, None, :] - embedding[None, :, :]).square().sum(dim=2)
    distance = squared.clamp(min=1e-12).sqrt()
    same = classes[:, None] == classes[None, :]
    positive = distance.masked_fill(~same, -math.inf).amax(dim=1)
    negative = distance.masked_fill(same, math.inf).amin(dim=1)
    return F.relu(positive - negative + margin).mean()


def sample_norms(gradient: Tensor, norm: float) -> Tensor:
    """‖g_i‖_q of each sample's gradient, for q in {1, 2, inf}. At g = 0 the derivative is taken as zero."""
    flat = gradient.flatten(1)
    if norm != math.inf:
        return torch.linalg.vector_norm(flat, ord=norm, dim=1)
    # One element bears the whole derivative, also where several are equally large.
    return flat.abs().gather(1, flat.abs().argmax(dim=1, keepdim=True)).squeeze(1)


def objective(
    model: ReIDNetwork, images: Tensor, classes: Tensor, settings: Settings, adaptive: AdaptiveL2, scale: float = 1.0
) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
    """`scale`·J, its parts (unscaled), the embedding and the logits.

    J = L, with MSGR on + λ Σ_i Σ_s ‖∂L/∂f_{s,i}‖, and the term of adaptive L2 where there is one.
    """
    at: list[int | str] = settings["msgr.at"] if settings["msgr.lambda"] else []
    if "input" in at:
        images = images.detach().requires_grad_(True)
    embedding, logits, maps = model(images)
    wide = torch.float64 if images.dtype == torch.float64 else torch.float32
    cross_entropy = F.cross_entropy(logits.to(wide), classes)
    weight: float = settings["losses.triplet.weight"]
    margin: float = settings["losses.triplet.margin"]
    hard = triplet(embedding.to(wide), classes, margin) if weight else torch.zeros((), dtype=wide)
    total = scale * (cross_entropy + weight * hard)
    parts = {"crossEntropy": cross_entropy, "triplet": hard}
    if at:
        features = [images if s == "input" else maps[int(s)] for s in at]
        gradients = torch.autograd.grad(total, features, create_graph=True)
        norm = math.inf if str(settings["msgr.norm"]).lstrip(".") == "inf" else float(settings["msgr.norm"])
        # The norms of scaled gradients are `scale` times the norms: so `total` stays scaled throughout.
        scaled = torch.stack([sample_norms(g.to(wide), norm).sum() for g in gradients]).sum()
        parts["msgr"] = scaled / scale
        total = total + settings["msgr.lambda"] * scaled
    if adaptive:
        parts["adaptiveL2"] = adaptive.term().to(wide)
        total = total + scale * parts["adaptiveL2"]
    parts["total"] = total / scale
    return total, parts, embedding, logits


def store_float16(model: ReIDNetwork) -> None:
    """Makes the network compute as float16 autocast does: float16 between operations, float32 inside of them.

    Convolutions and linear layers round their operands to float16, sum in float32 and round the result; the same
    holds for their gradients. That is what PyTorch's CPU autocast does where the CPU has float16 arithmetic;
    elsewhere it falls back to code that takes minutes longer a step. Batch norms compute in float32 because the
    double backward of PyTorch's own float16 batch norm yields NaN whatever the loss scale.
    """

    def rounded(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.half().float()

    def convolve(self: nn.Conv2d, x: Tensor) -> Tensor:
        y = F.conv2d(x.half().float(), self.weight.half().float(), rounded(self.bias), self.stride, self.padding)
        return y.half()

    def multiply(self: nn.Linear, x: Tensor) -> Tensor:
        return F.linear(x.half().float(), self.weight.half().float(), rounded(self.bias)).half()

    def normalize(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
        return type(self).forward(self, x.float()).half()

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = MethodType(convolve, module)
        elif isinstance(module, nn.Linear):
            module.forward = MethodType(multiply, module)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.forward = MethodType(normalize, module)


def step(
    model: ReIDNetwork, images: Tensor, classes: Tensor, settings: Settings, reduced: torch.dtype | None = None
) -> Step:
    """One step in training mode (running statistics move, parameters do not).

    float16 is `store_float16`, its loss scaled by 2^15, halved until every gradient is finite; bfloat16 is autocast.
    """
    model.train()
    if reduced == torch.float16:
        store_float16(model)
    scale = INITIAL_SCALE if reduced == torch.float16 else 1.0
    adaptive = AdaptiveL2(model, settings)
    names, parameters = zip(*model.named_parameters(), *adaptive.named_parameters().items())
    while True:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced == torch.bfloat16):
            total, parts, embedding, logits = objective(model, images, classes, settings, adaptive, scale)
        gradients = torch.autograd.grad(total, parameters)
        if reduced != torch.float16 or all(bool(g.isfinite().all()) for g in gradients) or scale < 1:
            break
        scale /= 2
    return Step(
        embedding.detach().double(),
        logits.detach().double(),
        {name: part.detach().double() for name, part in parts.items()},
        {name: g.detach().double() / scale for name, g in zip(names, gradients)},
    )
