"""Distances between two steps, and a report of named checks that remembers whether one failed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file
from torch import Tensor

from losses import Step

# How far a float64 step may be from PyTorch's, relative, in any tensor; with MSGR, PyTorch's is the double backward.
EXACT_LIMIT = 1e-7
MSGR_EXACT_LIMIT = 1e-6
# How far N ranks may be from one.
RANK_LIMITS = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-4}
MSGR_RANK_LIMITS = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-4}
# A gradient tensor this small beside the whole gradient is zero in exact arithmetic (a bias that the next batch
# norm removes): only rounding is in it, and a relative error of rounding says nothing.
ZERO_SHARE = 1e-10
# … so it is held against the whole gradient's norm instead, and must be about as small.
ZERO_LIMIT = 1e-9


@dataclass
class Report:
    """Prints a line a check and remembers failures."""

    failures: list[str] = field(default_factory=list)

    def check(self, name: str, passed: bool, detail: str, width: int = 34) -> None:
        """One line of the table."""
        print(f"  {'pass' if passed else 'FAIL'}  {name:{width}} {detail}", flush=True)
        if not passed:
            self.failures.append(name)

    def note(self, name: str, detail: str) -> None:
        """A line that judges nothing."""
        print(f"        {name:34} {detail}")

    def finish(self) -> None:
        """Ends the program: exit code 1 where a check failed."""
        print("all passed" if not self.failures else f"FAILED: {', '.join(self.failures)}")
        raise SystemExit(1 if self.failures else 0)


def rank_limit(precision: str, regularized: bool) -> float:
    """How far N ranks may be from one in any tensor; `regularized` with MSGR."""
    return (MSGR_RANK_LIMITS if regularized else RANK_LIMITS)[precision]


def relative(a: Tensor, reference: Tensor) -> float:
    """‖a − reference‖ / ‖reference‖; the distance itself where the reference is zero; infinite for a bad `a`."""
    if a.shape != reference.shape or not bool(a.isfinite().all()):
        return float("inf")
    norm = float(reference.norm())
    return float((a - reference).norm()) / (norm if norm > 0 else 1.0)


def cosine(a: Tensor, b: Tensor) -> float:
    """The cosine of the angle between two flat vectors; zero where one is zero or not finite."""
    if not bool(a.isfinite().all()) or float(a.norm()) == 0 or float(b.norm()) == 0:
        return 0.0
    return float(a @ b / (a.norm() * b.norm()))


def whole(gradients: dict[str, Tensor], names: list[str]) -> Tensor:
    """All gradients as one flat vector, in the order of `names`."""
    return torch.cat([gradients[name].flatten() for name in names])


def read_probe(path: str) -> tuple[Step, set[torch.dtype]]:
    """What `lineup probe` wrote, in float64, and the element types it was stored in."""
    stored = load_file(path)
    types = {tensor.dtype for tensor in stored.values()}
    tensors = {name: tensor.double() for name, tensor in stored.items()}
    for name in ("embedding", "logits", "loss.total"):
        if name not in tensors:
            raise SystemExit(f"{path}: no tensor {name}")
    losses = {name.removeprefix("loss."): t.reshape(()) for name, t in tensors.items() if name.startswith("loss.")}
    gradients = {name.removeprefix("gradient."): t for name, t in tensors.items() if name.startswith("gradient.")}
    outputs = {name: t for name, t in tensors.items() if name.partition(".")[0] in ("embedding", "logits")}
    return Step(outputs, losses, gradients), types


def output_errors(a: Step, reference: Step) -> dict[str, float]:
    """Relative distance of embedding and logits of each head; infinite where one is missing."""
    return {name: relative(a.outputs[name], expected) if name in a.outputs else math.inf
            for name, expected in reference.outputs.items()}


def gradient_errors(a: dict[str, Tensor], reference: dict[str, Tensor]) -> tuple[dict[str, float], dict[str, float]]:
    """Relative distance of each tensor, and of those that are zero up to rounding the share of the whole gradient.

    A filter's gain and its weights are one vector: in front of a norm the gain alone has next to no gradient.
    """
    a, reference = joined(a), joined(reference)
    norm = float(whole(reference, list(reference)).norm())
    real: dict[str, float] = {}
    zero: dict[str, float] = {}
    for name, expected in reference.items():
        if float(expected.norm()) < ZERO_SHARE * norm:
            zero[name] = float((a[name] - expected).norm()) / norm if a[name].shape == expected.shape else float("inf")
        else:
            real[name] = relative(a[name], expected)
    return real, zero


def joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each `X.gain` at the end of `X.weight`."""
    gains = {name.removesuffix("gain") + "weight": name for name in tensors if name.endswith(".gain")}
    return {
        name: torch.cat([tensor.flatten(), tensors[gains[name]].flatten()]) if name in gains else tensor
        for name, tensor in tensors.items() if name not in gains.values()
    }


def worst(errors: dict[str, float], count: int = 5) -> list[tuple[str, float]]:
    """The largest errors first. A NaN counts as largest."""
    ranked = sorted(errors.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1], reverse=True)
    return ranked[:count]
