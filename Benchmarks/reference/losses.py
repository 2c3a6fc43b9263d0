"""The whole loss and one training step: the heads' terms, the gradient regularizer (MSGR), adaptive L2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive import AdaptiveL2, norm_loss
from filters import used
from heads import HeadOutput, head_options
from model import ReIDNetwork
from settings import Settings

INITIAL_SCALE = 2.0**15
# The class of each row by what the classes are: `identity`, `camera`, `part`.
Labels = dict[str, Tensor]


@dataclass
class Step:
    """What one step leaves behind: all in float64, gradients by parameter name and unscaled.

    Outputs are `embedding` and `logits` of the first head, `embedding.1` and `logits.1` of the second, and so on.
    """

    outputs: dict[str, Tensor]
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]


def sample_norms(gradient: Tensor, norm: float) -> Tensor:
    """‖g_i‖_q of each sample's gradient, for q in {1, 2, inf}. At g = 0 the derivative is taken as zero."""
    flat = gradient.flatten(1)
    if norm != math.inf:
        return torch.linalg.vector_norm(flat, ord=norm, dim=1)
    # One element bears the whole derivative, also where several are equally large.
    return flat.abs().gather(1, flat.abs().argmax(dim=1, keepdim=True)).squeeze(1)


def terms_of(outputs: list[HeadOutput], labels: Labels, settings: Settings) -> dict[str, tuple[float, Tensor]]:
    """Each term's weight and value by name; a term without weight is 0."""
    heads = head_options(settings)
    found: dict[str, tuple[float, Tensor]] = {}
    for options, output in zip(heads, outputs, strict=True):
        wide = torch.float64 if output.logits.dtype == torch.float64 else torch.float32
        prefix = f"{options.name}." if len(heads) > 1 else ""
        for term in options.terms:
            value = torch.zeros((), dtype=wide)
            if term.weight:
                embedding, logits = output.embedding.to(wide), output.logits.to(wide)
                value = term.evaluate(embedding, logits, output.centres, options.classes_of(labels[options.label]))
            found[prefix + term.name] = (term.weight, value)
    return found


def objective(
    model: nn.Module, images: Tensor, labels: Labels, settings: Settings, adaptive: AdaptiveL2, scale: float = 1.0
) -> tuple[Tensor, dict[str, Tensor], list[HeadOutput]]:
    """`scale`·J, its parts (unscaled), and the heads' outputs.

    J = L, with MSGR on + λ Σ_i Σ_s ‖∂L/∂f_{s,i}‖, and the terms of adaptive L2 and of the norm loss where there are such.
    """
    at: list[int | str] = settings["msgr.at"] if settings["msgr.lambda"] else []
    if "input" in at:
        images = images.detach().requires_grad_(True)
    outputs, maps = model(images)
    wide = torch.float64 if images.dtype == torch.float64 else torch.float32
    terms = terms_of(outputs, labels, settings)
    total = scale * torch.stack([weight * value for weight, value in terms.values()]).sum()
    parts = {name: value for name, (_, value) in terms.items()}
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
    if settings["normLoss.lambda"]:
        parts["normLoss"] = norm_loss(model, settings["normLoss.lambda"]).to(wide)
        total = total + scale * parts["normLoss"]
    parts["total"] = total / scale
    return total, parts, outputs


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
        y = F.conv2d(
            x.half().float(), used(self).half().float(), rounded(self.bias), self.stride, self.padding,
            groups=self.groups)
        return y.half()

    def convolve_channels(self: nn.Conv1d, x: Tensor) -> Tensor:
        return F.conv1d(
            x.half().float(), self.weight.half().float(), rounded(self.bias), self.stride, self.padding).half()

    def multiply(self: nn.Linear, x: Tensor) -> Tensor:
        return F.linear(x.half().float(), self.weight.half().float(), rounded(self.bias)).half()

    def normalize(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
        return type(self).forward(self, x.float()).half()

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = MethodType(convolve, module)
        elif isinstance(module, nn.Conv1d):
            module.forward = MethodType(convolve_channels, module)
        elif isinstance(module, nn.Linear):
            module.forward = MethodType(multiply, module)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)):
            module.forward = MethodType(normalize, module)


def step(
    model: ReIDNetwork, images: Tensor, labels: Labels, settings: Settings, reduced: torch.dtype | None = None
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
            total, parts, outputs = objective(model, images, labels, settings, adaptive, scale)
        # A term without weight, or a level of the pyramid that no head reads, leaves parameters without a gradient.
        gradients = torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
        if reduced != torch.float16 or all(bool(g.isfinite().all()) for g in gradients) or scale < 1:
            break
        scale /= 2
    named = {f"{kind}.{index}" if index else kind: getattr(output, kind).detach().double()
             for index, output in enumerate(outputs) for kind in ("embedding", "logits")}
    return Step(
        named,
        {name: part.detach().double() for name, part in parts.items()},
        {name: g.detach().double() / scale for name, g in zip(names, gradients)},
    )
