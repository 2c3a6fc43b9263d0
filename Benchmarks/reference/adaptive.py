"""Penalties on weights: adaptive L2, and the norm loss.

Adaptive L2 regularization: J += Σ A·hardsigmoid(r_i)·‖w_i‖², with a trainable r_i for each regularized tensor w_i.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attention import GroupSum, SelfAttention
from heads import AttentivePool, Centres, GeneralizedMean
from settings import Settings

# hardsigmoid(r) = clamp(r / (2c) + 1/2, 0, 1)
HALF_WIDTH = 2.5
KINDS = ("convolution", "linear", "bias", "normScale", "normShift")
# Exponents of pools, slopes of rectifiers and centres of classes: no penalty reaches them.
FREE_KINDS = ("exponent", "slope", "centre")
# Gradients with respect to r_i stand among those of the parameters, as this and the tensor's name.
PREFIX = "adaptiveL2."


def kinds_of_tensors(model: nn.Module) -> dict[str, str]:
    """The kind of every parameter, by its name."""
    kinds: dict[str, str] = {}
    for place, module in model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if isinstance(module, (GeneralizedMean, AttentivePool)):
                kind = "exponent"
            elif isinstance(module, nn.PReLU):
                kind = "slope"
            elif isinstance(module, Centres):
                kind = "centre"
            elif isinstance(module, (GroupSum, SelfAttention)) or name == "gain":
                kind = "normScale"
            elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)):
                kind = "normScale" if name == "weight" else "normShift"
            elif name == "bias":
                kind = "bias"
            elif tensor.dim() < 2:
                raise SystemExit(f"{place}.{name}: of which kind is it? kinds_of_tensors in adaptive.py has to know")
            else:
                kind = "convolution" if isinstance(module, nn.Conv2d) else "linear"
            kinds[f"{place}.{name}"] = kind
    return kinds


class AdaptiveL2:
    """The scalars r_i by the name of their tensor, none where the term is off."""

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        wanted: list[str] = settings["adaptiveL2.tensors"] if settings["adaptiveL2.enabled"] else []
        unknown = [kind for kind in wanted if kind not in KINDS]
        if unknown:
            raise SystemExit(f"adaptiveL2.tensors: {unknown[0]} is none of {', '.join(KINDS)}")
        kinds = kinds_of_tensors(model)
        self.free = {name for name, kind in kinds.items() if kind in FREE_KINDS}
        self.amplitude: float = settings["adaptiveL2.amplitude"]
        initial = float(settings["adaptiveL2.initial"])
        self.parameters = dict(model.named_parameters())
        self.regularized = {name: w for name, w in self.parameters.items() if kinds[name] in wanted}
        self.raw = {
            name: torch.full((1,), initial, dtype=w.dtype, requires_grad=True) for name, w in self.regularized.items()
        }

    def __bool__(self) -> bool:
        return bool(self.raw)

    def named_parameters(self) -> dict[str, Tensor]:
        """The r_i as they are named among gradients."""
        return {PREFIX + name: r for name, r in self.raw.items()}

    def adam(self, settings: Settings, **options: Any) -> torch.optim.Adam:
        """Adam for the parameters and the r_i. This term replaces weight decay, which free tensors never have."""
        trained = list(self.raw.values()) if settings["adaptiveL2.trained"] else []
        decay = 0.0 if self else settings["optimizer.weightDecay"]
        decayed = [w for name, w in self.parameters.items() if name not in self.free] + trained
        free = [self.parameters[name] for name in sorted(self.free)]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0}]
        return torch.optim.Adam([g for g in groups if g["params"]], weight_decay=decay, **options)

    def term(self) -> Tensor:
        """Σ A·hardsigmoid(r_i)·‖w_i‖²."""
        strengths = {name: (r / (2 * HALF_WIDTH) + 0.5).clamp(0, 1) for name, r in self.raw.items()}
        terms = [strengths[name] * w.square().sum() for name, w in self.regularized.items()]
        return self.amplitude * torch.cat(terms).sum()


def norm_loss(model: nn.Module, strength: float) -> Tensor:
    """Georgiou et al., 2021: λ Σ (1 − ‖w‖)² over the filters of convolutions and the rows of linear layers and classifiers."""
    kinds = kinds_of_tensors(model)
    chosen = [w for name, w in model.named_parameters() if kinds[name] in ("convolution", "linear")]
    # The norm's derivative at 0 is 0.
    return strength * torch.cat([(1 - torch.linalg.vector_norm(w.flatten(1), dim=1)).square() for w in chosen]).sum()
