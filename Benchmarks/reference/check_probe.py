"""Checks `lineup probe` against PyTorch: one step on the same images from the same weights.

float64: every tensor within 1e-7 of PyTorch's float64 step. float32: the whole gradient no farther from float64 than
1.5 times PyTorch's own float32. float16: at least the cosine of PyTorch with float16 storage (see losses.py). With
`--ranks`, the step of N ranks against the step of one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

import settings as configuration
from comparison import ZERO_LIMIT, Report, cosine, gradient_errors, read_probe, relative, whole, worst
from images import classes_of, generate, load_pixels, read_rows, write_rows
from losses import Step
from runner import run, workspace
from yardstick import reference_step

EXACT_LIMIT = 1e-7
FLOAT32_FACTOR = 1.5
RANK_LIMITS = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-4}
KINDS = {"float64": torch.float64, "float32": torch.float32}

Reference = Callable[[str], Step]


def compare_exact(report: Report, lineup: Step, reference: Reference) -> None:
    """float64: embedding, logits, every loss and every gradient tensor."""
    exact = reference("float64")
    for name, a, b in (("embedding", lineup.embedding, exact.embedding), ("logits", lineup.logits, exact.logits)):
        error = relative(a, b)
        report.check(name, error <= EXACT_LIMIT, f"relative L2 {error:.2e}")
    for name, b in exact.losses.items():
        if name not in lineup.losses:
            report.check(f"loss.{name}", False, "not in the file")
            continue
        error = relative(lineup.losses[name], b)
        values = f"{float(lineup.losses[name]):.9f} and {float(b):.9f}"
        report.check(f"loss.{name}", error <= EXACT_LIMIT, f"relative {error:.2e}  ({values})")
    real, zero = gradient_errors(lineup.gradients, exact.gradients)
    bad = {name for name, error in real.items() if not error <= EXACT_LIMIT}
    bad_zero = {name for name, share in zero.items() if not share <= ZERO_LIMIT}
    report.check(f"gradient, {len(real)} tensors", not bad, f"{len(bad)} above {EXACT_LIMIT:.0e}; the worst:")
    for name, error in worst(real):
        report.note("", f"{error:.2e}  {name}")
    if zero:
        detail = f"{len(bad_zero)} above {ZERO_LIMIT:.0e} of the whole gradient; the worst:"
        report.check(f"zero up to rounding, {len(zero)} tensors", not bad_zero, detail)
        for name, share in worst(zero):
            report.note("", f"{share:.2e}  {name}")
    a, b = whole(lineup.gradients, list(real)), whole(exact.gradients, list(real))
    report.check("whole gradient", relative(a, b) <= EXACT_LIMIT, f"relative L2 {relative(a, b):.2e}")


def compare_rounded(report: Report, lineup: Step, reference: Reference, precision: str) -> None:
    """float32 and float16: the whole gradient's distance from float64 beside that of PyTorch's same precision."""
    exact, own = reference("float64"), reference(precision)
    for name in ("embedding", "logits"):
        ours, theirs = (relative(getattr(s, name), getattr(exact, name)) for s in (lineup, own))
        report.note(name, f"relative L2 {ours:.2e}, PyTorch {theirs:.2e}")
    for name, b in exact.losses.items():
        if name in lineup.losses:
            ours, theirs = relative(lineup.losses[name], b), relative(own.losses[name], b)
            report.note(f"loss.{name}", f"relative {ours:.2e}, PyTorch {theirs:.2e}")
    names = list(exact.gradients)
    a, b, c = (whole(s.gradients, names) for s in (lineup, exact, own))
    distances = f"relative L2 {relative(a, b):.3e}, PyTorch {relative(c, b):.3e}"
    cosines = f"cosine {cosine(a, b):.6f}, PyTorch {cosine(c, b):.6f}"
    if precision == "float32":
        passed = relative(a, b) <= FLOAT32_FACTOR * relative(c, b)
        report.check("whole gradient", passed, f"{distances} (limit {FLOAT32_FACTOR} times)")
        report.note("", cosines)
    else:
        report.check("whole gradient", cosine(a, b) >= cosine(c, b), f"{cosines} (limit)")
        report.note("", distances)
    real, _ = gradient_errors(lineup.gradients, exact.gradients)
    for name, error in worst(real):
        report.note("", f"{error:.2e}  {name}")


def compare_ranks(report: Report, many: Step, one: Step, ranks: int, limit: float) -> None:
    """The step of several ranks against the step of one, in the same precision."""
    pairs = {"embedding": (many.embedding, one.embedding), "logits": (many.logits, one.logits)}
    for name, value in one.losses.items():
        pairs[f"loss.{name}"] = (many.losses.get(name, value * float("nan")), value)
    if many.gradients.keys() == one.gradients.keys():
        names = list(one.gradients)
        pairs["gradient"] = (whole(many.gradients, names), whole(one.gradients, names))
    else:
        report.check(f"{ranks} ranks: gradient", False, "the files name different tensors")
    for name, (a, b) in pairs.items():
        error = relative(a, b)
        report.check(f"{ranks} ranks: {name}", error <= limit, f"relative L2 {error:.2e} (limit {limit:.0e})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--images", help="a CSV of path,identity,camera; pictures are generated without it")
    parser.add_argument("--weights", help="a safetensors file; a fresh network without it")
    parser.add_argument("--precisions", default="float64,float32,float16", help="comma-separated")
    parser.add_argument("--ranks", default="1", help="comma-separated; those above 1 run under mpirun")
    parser.add_argument("--seed", type=int, default=0, help="of the generated pictures")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    settings = configuration.resolve(options.config, options.set)
    height, width = settings["input.height"], settings["input.width"]
    report = Report()
    with workspace(options.work) as folder:
        rows = read_rows(options.images) if options.images else generate(folder, 4, 4, height, width, options.seed)
        listing = folder / "images.csv"
        write_rows(listing, rows)
        identities = len({row.identity for row in rows})
        weights = options.weights or str(folder / "weights.safetensors")
        if not options.weights:
            fresh = ["probe", "--initialize", weights, "--identities", str(identities)]
            run(options.lineup, fresh + settings.lineup_arguments())
        images = load_pixels([row.path for row in rows], height, width)
        classes = classes_of([row.identity for row in rows])

        @lru_cache
        def reference(precision: str) -> Step:
            return reference_step(settings, weights, identities, images, classes, precision)

        def probe(precision: str, ranks: int) -> Step:
            output = folder / f"probe-{precision}-{ranks}.safetensors"
            output.unlink(missing_ok=True)
            arguments = ["probe", "--weights", weights, "--images", str(listing), "--output", str(output)]
            run(options.lineup, arguments + settings.lineup_arguments(precision__storage=precision), ranks)
            return check_file(report, output, reference("float64"), precision)

        print(f"{len(rows)} images of {identities} identities, {height}×{width}")
        for precision in options.precisions.split(","):
            print(precision, flush=True)
            one = probe(precision, 1)
            if one.gradients.keys() == reference("float64").gradients.keys():
                if precision == "float64":
                    compare_exact(report, one, reference)
                else:
                    compare_rounded(report, one, reference, precision)
            for ranks in (int(text) for text in options.ranks.split(",")):
                if ranks > 1:
                    compare_ranks(report, probe(precision, ranks), one, ranks, RANK_LIMITS[precision])
    report.finish()


def check_file(report: Report, path: Path, exact: Step, precision: str) -> Step:
    """Reads a probe's file; it must name PyTorch's parameters, no others, and not be coarser than float32."""
    lineup, types = read_probe(str(path))
    missing = sorted(exact.gradients.keys() - lineup.gradients.keys())
    extra = sorted(lineup.gradients.keys() - exact.gradients.keys())
    if missing or extra:
        report.check("names", False, f"missing {missing[:3]} ({len(missing)}), unexpected {extra[:3]} ({len(extra)})")
    wrong = [name for name in exact.gradients.keys() & lineup.gradients.keys()
             if exact.gradients[name].shape != lineup.gradients[name].shape]
    if wrong:
        raise SystemExit(f"{path.name}: shape of gradient.{sorted(wrong)[0]} differs from PyTorch's")
    expected = KINDS.get(precision, torch.float32)
    if types != {expected}:
        report.note("stored as", f"{sorted(str(kind) for kind in types)}, expected {expected}")
    return lineup


if __name__ == "__main__":
    main()
