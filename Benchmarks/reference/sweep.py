"""`check_probe.py --sweep`: one step in float64, a line each, in every corner of MSGR, adaptive L2 and the parts of networks.

The network is fresh but for noise on its vectors and classifiers (`disturb_fresh`), without which biases and shifts would
be zero and say nothing. Each line holds the worst relative distance from PyTorch's autograd, and of N ranks from one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import parts
import settings as configuration
from adaptive import KINDS
from comparison import (EXACT_LIMIT, MSGR_EXACT_LIMIT, ZERO_LIMIT, Report, gradient_errors, output_errors, rank_limit,
                        relative, worst)
from images import Row
from losses import Step
from probing import Bench

SMALL = ["model.width=0.125", "input.height=64", "input.width=32"]
NORMS = ("1", "2", "inf")
PLACES = ("[input]", "[1]", "[2]", "[3]", "[4]", "[1,2]", "[input,1,2,3,4]")
ALL_PLACES = PLACES[-1]
# λ such that the regularizer's gradient is of the size of the plain one.
LAMBDAS = {"1": 0.001, "2": 0.05, "inf": 1.0}
ABLATIONS = {
    "baseline": ["model.head=baseline"],
    "own weights": ["model.sharedPyramid=false"],
    "stages 3, 4": ["model.stages=[3,4]"],
    "stages 2, 4": ["model.stages=[2,4]"],
    "no lateral": ["model.lateral=false"],
    "no top-down": ["model.topDown=false"],
    "direct fusion": ["model.lateral=false", "model.topDown=false", "model.fusion=false"],
    "no fusion bottlenecks": ["model.fusion=false"],
    "last stride 1": ["model.lastStride=1"],
    "no triplet": ["losses.triplet.weight=0"],
}
INITIAL_STRENGTHS = (0, 1.3, -2, 3, -3)


@dataclass(frozen=True)
class Case:
    """A line of the sweep: its name and its settings."""

    name: str
    overrides: list[str]


def msgr(norm: str, at: str) -> list[str]:
    """The settings that switch MSGR on."""
    return [f"msgr.lambda={LAMBDAS[norm]}", f"msgr.norm={norm}", f"msgr.at={at}"]


def adaptive(initial: float, tensors: list[str] | None = None, amplitude: float = 0.005) -> list[str]:
    """The settings that switch adaptive L2 on, for all tensors where none are named."""
    chosen = [f"adaptiveL2.tensors=[{','.join(tensors)}]"] if tensors else []
    return ["adaptiveL2.enabled=true", f"adaptiveL2.initial={initial}", f"adaptiveL2.amplitude={amplitude}"] + chosen


def cases() -> list[Case]:
    """Every norm at every place; every ablation; every kind of tensor and state of r, with and without MSGR."""
    found = [Case("plain", [])]
    found += [Case(f"norm {norm} at {at}", msgr(norm, at)) for norm in NORMS for at in PLACES]
    for name, ablation in ABLATIONS.items():
        found += [Case(f"{name}, norm 2 at {at}", ablation + msgr("2", at)) for at in ("[1,2]", ALL_PLACES)]
    for also in ([], msgr("2", "[1,2]")):
        after = ", MSGR" if also else ""
        found += [Case(f"r {initial}{after}", adaptive(initial) + also) for initial in INITIAL_STRENGTHS]
        found += [Case(f"r 1.3 of {kind}{after}", adaptive(1.3, [kind]) + also) for kind in KINDS]
        found.append(Case(f"r -2 of convolution, bias{after}", adaptive(-2, ["convolution", "bias"], 0.02) + also))
        for name in ("baseline", "own weights"):
            found.append(Case(f"r -2, {name}{after}", ABLATIONS[name] + adaptive(-2) + also))
    return found + part_cases()


def part_cases() -> list[Case]:
    """Every part of other networks and losses, plain and with MSGR; some at other places, with all norms, with adaptive L2."""
    found = []
    for name, chosen in parts.EVERY.items():
        found += [Case(f"part {name}", chosen), Case(f"part {name}, MSGR", chosen + msgr("2", "[1,2]"))]
    found += [Case(f"part {name}, norm 2 at {ALL_PLACES}", chosen + msgr("2", ALL_PLACES))
              for name, chosen in parts.PLACED.items()]
    found += [Case(f"part {name}, norm 2 at {at}", chosen + msgr("2", at))
              for name, chosen in parts.SINGLE.items() for at in ("[input]", "[1]", "[3]", "[4]")]
    found += [Case(f"part {name}, norm {norm} at [1,2]", chosen + msgr(norm, "[1,2]"))
              for name, chosen in parts.NORMED.items() for norm in ("1", "inf")]
    for name, chosen in (("every tensor", parts.EVERY_TENSOR), ("gates", parts.GATES)):
        for after, also in (("", []), (", MSGR", msgr("2", "[1,2]"))):
            found.append(Case(f"part r 1.3 of {name}{after}", chosen + adaptive(1.3) + also))
    found += [Case(f"part r 1.3 of {name}", parts.WEIGHTS[name] + adaptive(1.3, ["convolution"]))
              for name in ("aligned", "normLoss, ibn-a, resnet18")]
    return found


def distance(one: Step, other: Step, limit: float) -> tuple[bool, list[float], str]:
    """Whether two steps agree; the worst distances of activations, losses, gradients and zeros; the worst tensor."""
    activations = max(output_errors(one, other).values())
    losses = max(relative(one.losses[name], b) if name in one.losses else math.inf for name, b in other.losses.items())
    real, zero = gradient_errors(one.gradients, other.gradients)
    name, gradient = worst(real, 1)[0]
    nothing = worst(zero, 1)[0][1] if zero else 0.0
    agree = all(error <= limit for error in (activations, losses, gradient)) and nothing <= ZERO_LIMIT
    return agree, [activations, losses, gradient, nothing], name


def run_cases(
    report: Report, chosen: list[Case], binary: str, config: str | None, overrides: list[str], rows: list[Row],
    folder: Path, ranks: list[int],
) -> None:
    """Checks each case and prints its line. What the user set (`overrides`) comes last and wins in every case."""
    several = [number for number in ranks if number > 1]
    columns = ["forward", "losses", "gradient", "zero", *(f"{number} ranks" for number in several)]
    print(f"        {'':65}{''.join(f'{title:>10}' for title in columns)}  worst tensor")
    for case in chosen:
        settings = configuration.resolve(config, SMALL + case.overrides + overrides)
        try:
            passed, detail = compare(report, Bench(binary, settings, rows, folder, None, disturb=True), several)
        except SystemExit as refusal:
            passed, detail = False, str(refusal).splitlines()[-1]
        report.check(case.name, passed, detail, width=64)
    print(f"{len(chosen)} cases")


def compare(report: Report, bench: Bench, several: list[int]) -> tuple[bool, str]:
    """Whether one case passed, and its columns."""
    one, exact = bench.probe(report, "float64"), bench.reference("float64")
    if one.gradients.keys() != exact.gradients.keys():
        return False, "gradients of other tensors than PyTorch's"
    regularized = bool(bench.settings["msgr.lambda"])
    passed, errors, tensor = distance(one, exact, MSGR_EXACT_LIMIT if regularized else EXACT_LIMIT)
    for number in several:
        agree, apart, _ = distance(bench.probe(report, "float64", number), one, rank_limit("float64", regularized))
        passed &= agree
        errors.append(max(apart))
    return passed, "".join(f"{error:10.1e}" for error in errors) + f"  {tensor}"
