"""Checks `lineup probe` against PyTorch: one step on the same images from the same weights.

float64: every tensor within 1e-7 of PyTorch's float64 step, with MSGR within 1e-6 of its double backward. float32: the
whole gradient no farther from float64 than 1.5 times PyTorch's own float32. float16: at least the cosine of PyTorch with
float16 storage (see losses.py); with MSGR, at most 0.05 below the cosine of Lineup's plain step (msgr.lambda=0). With
`--ranks`, the step of N ranks against the step of one. `--sweep` checks float64 in many configurations, a line each.
"""

from __future__ import annotations

import argparse

import torch

import settings as configuration
import sweep
from adaptive import PREFIX
from comparison import (EXACT_LIMIT, MSGR_EXACT_LIMIT, ZERO_LIMIT, Report, cosine, gradient_errors, output_errors, rank_limit,
                        relative, whole, worst)
from images import generate, read_rows
from losses import Step
from probing import Bench
from runner import workspace

FLOAT32_FACTOR = 1.5
MSGR_COSINE_MARGIN = 0.05
# ∂J/∂r_i is a norm of parameters, which are float32 where storage is narrower, times a constant.
STRENGTH_LIMIT = 1e-5


def compare_exact(report: Report, lineup: Step, exact: Step, limit: float) -> None:
    """float64: embedding, logits, every loss and every gradient tensor."""
    for name, error in output_errors(lineup, exact).items():
        report.check(name, error <= limit, f"relative L2 {error:.2e}")
    for name, b in exact.losses.items():
        if name not in lineup.losses:
            report.check(f"loss.{name}", False, "not in the file")
            continue
        error = relative(lineup.losses[name], b)
        values = f"{float(lineup.losses[name]):.9f} and {float(b):.9f}"
        report.check(f"loss.{name}", error <= limit, f"relative {error:.2e}  ({values})")
    real, zero = gradient_errors(lineup.gradients, exact.gradients)
    bad = {name for name, error in real.items() if not error <= limit}
    bad_zero = {name for name, share in zero.items() if not share <= ZERO_LIMIT}
    report.check(f"gradient, {len(real)} tensors", not bad, f"{len(bad)} above {limit:.0e}; the worst:")
    for name, error in worst(real):
        report.note("", f"{error:.2e}  {name}")
    if zero:
        detail = f"{len(bad_zero)} above {ZERO_LIMIT:.0e} of the whole gradient; the worst:"
        report.check(f"zero up to rounding, {len(zero)} tensors", not bad_zero, detail)
        for name, share in worst(zero):
            report.note("", f"{share:.2e}  {name}")
    a, b = whole(lineup.gradients, list(real)), whole(exact.gradients, list(real))
    report.check("whole gradient", relative(a, b) <= limit, f"relative L2 {relative(a, b):.2e}")


def compare_rounded(report: Report, bench: Bench, lineup: Step, precision: str) -> None:
    """float32 and float16: the whole gradient's distance from float64 beside that of PyTorch's same precision."""
    exact, own = bench.reference("float64"), bench.reference(precision)
    theirs_of = output_errors(own, exact)
    for name, ours in output_errors(lineup, exact).items():
        report.note(name, f"relative L2 {ours:.2e}, PyTorch {theirs_of[name]:.2e}")
    for name, b in exact.losses.items():
        if name in lineup.losses:
            ours, theirs = relative(lineup.losses[name], b), relative(own.losses[name], b)
            report.note(f"loss.{name}", f"relative {ours:.2e}, PyTorch {theirs:.2e}")
    names = [name for name in exact.gradients if not name.startswith(PREFIX)]
    a, b, c = (whole(s.gradients, names) for s in (lineup, exact, own))
    distances = f"relative L2 {relative(a, b):.3e}, PyTorch {relative(c, b):.3e}"
    cosines = f"cosine {cosine(a, b):.6f}, PyTorch {cosine(c, b):.6f}"
    if precision == "float32":
        passed = relative(a, b) <= FLOAT32_FACTOR * relative(c, b)
        report.check("whole gradient", passed, f"{distances} (limit {FLOAT32_FACTOR} times)")
        report.note("", cosines)
    elif bench.settings["msgr.lambda"]:
        plain = (whole(s.gradients, names) for s in (bench.probe(report, precision, plain=True),
                                                     bench.reference("float64", plain=True)))
        least = cosine(*plain) - MSGR_COSINE_MARGIN
        report.check("whole gradient", cosine(a, b) >= least, f"{cosines} (limit {least:.6f}, from the plain step)")
        report.note("", distances)
    else:
        report.check("whole gradient", cosine(a, b) >= cosine(c, b), f"{cosines} (limit)")
        report.note("", distances)
    real, _ = gradient_errors(lineup.gradients, exact.gradients)
    for name, error in worst({name: real[name] for name in names if name in real}):
        report.note("", f"{error:.2e}  {name}")
    strengths = {name: error for name, error in real.items() if name.startswith(PREFIX)}
    if strengths:
        name, error = worst(strengths, 1)[0]
        detail = f"relative {error:.2e} (limit {STRENGTH_LIMIT:.0e})  {name}"
        report.check(f"∂J/∂r, {len(strengths)} scalars", error <= STRENGTH_LIMIT, detail)


def compare_ranks(report: Report, many: Step, one: Step, ranks: int, limit: float) -> None:
    """The step of several ranks against the step of one, in the same precision."""
    pairs = {name: (many.outputs.get(name, value * float("nan")), value) for name, value in one.outputs.items()}
    for name, value in one.losses.items():
        pairs[f"loss.{name}"] = (many.losses.get(name, value * float("nan")), value)
    if many.gradients.keys() == one.gradients.keys():
        names = list(one.gradients)
        pairs["gradient"] = (whole(many.gradients, names), whole(one.gradients, names))
        real, _ = gradient_errors(many.gradients, one.gradients)
        name, error = worst(real, 1)[0]
        detail = f"relative L2 {error:.2e} (limit {limit:.0e})  {name}"
        report.check(f"{ranks} ranks: worst tensor", error <= limit, detail)
    else:
        report.check(f"{ranks} ranks: gradient", False, "the files name different tensors")
    for name, (a, b) in pairs.items():
        error = relative(a, b)
        report.check(f"{ranks} ranks: {name}", error <= limit, f"relative L2 {error:.2e} (limit {limit:.0e})")


def check(report: Report, bench: Bench, precision: str, ranks: list[int]) -> None:
    """One precision, alone and on several ranks."""
    regularized = bool(bench.settings["msgr.lambda"])
    one = bench.probe(report, precision)
    if one.gradients.keys() == bench.reference("float64").gradients.keys():
        if precision == "float64":
            limit = MSGR_EXACT_LIMIT if regularized else EXACT_LIMIT
            compare_exact(report, one, bench.reference("float64"), limit)
        else:
            compare_rounded(report, bench, one, precision)
    for number in ranks:
        if number > 1:
            many = bench.probe(report, precision, number)
            compare_ranks(report, many, one, number, rank_limit(precision, regularized))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--images", help="a CSV of path,identity,camera; pictures are generated without it")
    parser.add_argument("--weights", help="a safetensors file; a fresh network without it")
    parser.add_argument("--precisions", default="float64,float32,float16", help="comma-separated")
    parser.add_argument("--ranks", default="1", help="comma-separated; those above 1 run under mpirun")
    parser.add_argument("--seed", type=int, default=0, help="of the generated pictures")
    parser.add_argument("--sweep", action="store_true",
                        help="every norm, place and ablation in float64, in a small network of its own")
    parser.add_argument("--only", default="", help="with --sweep: the cases whose name has this in it")
    parser.add_argument("--threads", type=int, default=1,
                        help="PyTorch's; where others compute too, its second thread makes it many times slower")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.sweep and options.weights:
        parser.error("--sweep makes up its networks: it takes no --weights")
    settings = configuration.resolve(options.config, (sweep.SMALL if options.sweep else []) + options.set)
    height, width = settings["input.height"], settings["input.width"]
    ranks = [int(text) for text in options.ranks.split(",")]
    report = Report()
    with workspace(options.work) as folder:
        rows = read_rows(options.images) if options.images else generate(folder, 4, 4, height, width, options.seed)
        print(f"{len(rows)} images of {len({row.identity for row in rows})} identities, {height}×{width}")
        if options.sweep:
            cases = [case for case in sweep.cases() if options.only in case.name]
            if not cases:
                parser.error(f"--only {options.only}: no case has that in its name")
            sweep.run_cases(report, cases, options.lineup, options.config, options.set, rows, folder, ranks)
        else:
            bench = Bench(options.lineup, settings, rows, folder, options.weights)
            for precision in options.precisions.split(","):
                print(precision, flush=True)
                check(report, bench, precision, ranks)
    report.finish()


if __name__ == "__main__":
    main()
