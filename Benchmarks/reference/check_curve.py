"""Checks the loss curve of `lineup train` against PyTorch: the same initial weights, the same batches, Adam.

Lineup runs first, without augmentation, and leaves the loss of each step in `metrics.jsonl` and the samples of each
step in `samples.jsonl`; PyTorch then takes exactly those batches at the learning rates that Lineup logged. Two
correct programs drift apart slowly (gates of ReLU flip), so the first step is compared closely and the rest by the
mean over windows of steps, beside how far PyTorch's own precisions drift apart.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import settings as configuration
from adaptive import AdaptiveL2
from comparison import Report
from images import classes_of, load_pixels, locate
from losses import objective, store_float16
from model import ReIDNetwork, load
from probing import fit
from runner import run, workspace
from settings import Settings

DEFAULT_PRECISIONS = {"float16": "float32,float16", "float32": "float64,float32", "float64": "float64"}
NAME = re.compile(r"^(-?\d+)_c(\d)")


@dataclass(frozen=True)
class Batch:
    """One training step as Lineup did it."""

    step: int
    paths: list[str]
    identities: list[int]
    loss: float
    learning_rate: float
    skipped: bool


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. Lineup may write NaN and Infinity; Python reads them."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def read_batches(folder: Path, data: Path) -> list[Batch]:
    """The steps of a run: `metrics.jsonl` and `samples.jsonl`, joined by step."""
    samples = {line["step"]: line for line in read_lines(folder / "samples.jsonl")}
    batches = []
    for line in read_lines(folder / "metrics.jsonl"):
        if "loss" not in line or "step" not in line:
            continue
        if line["step"] not in samples:
            raise SystemExit(f"{folder / 'samples.jsonl'}: nothing about step {line['step']}")
        sample = samples[line["step"]]
        paths = [locate(path, data) for path in sample["paths"]]
        loss = float("nan") if line["loss"] is None else float(line["loss"])
        skipped = bool(line.get("skipped", False))
        batches.append(Batch(line["step"], paths, sample["identities"], loss, line["learningRate"], skipped))
    return batches


def training_classes(data: Path) -> dict[str, list[int]]:
    """Identities and cameras of a data set in the Market-1501 layout, from the file names of its training folder."""
    folder = next(iter(sorted(data.rglob("bounding_box_train"))), None)
    if folder is None:
        raise SystemExit(f"{data}: no folder bounding_box_train")
    found = [match for path in folder.iterdir() if (match := NAME.match(path.name)) and match[1] != "-1"]
    return {"identity": sorted({int(match[1]) for match in found}), "camera": sorted({int(match[2]) for match in found})}


def cameras_of(paths: list[str]) -> list[int]:
    """Cameras from file names."""
    return [int(match[2]) for path in paths if (match := NAME.match(Path(path).name))]


def train(batches: list[Batch], known: dict[str, list[int]], weights: str, settings: Settings, precision: str) -> list[float]:
    """PyTorch's loss at each of the batches, before that step's update. Steps that Lineup skipped move nothing."""
    model = ReIDNetwork(settings, len(known["identity"]), len(known["camera"]))
    load(model, weights)
    kind = torch.float64 if precision == "float64" else torch.float32
    model.to(kind).train()
    if precision == "float16":
        store_float16(model)
    adaptive = AdaptiveL2(model, settings)
    # As a whole: betas 0.9 and 0.999, ε 1e-8, and the decay added to the gradient (L2).
    adam = adaptive.adam(settings)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15, growth_interval=1000, enabled=precision == "float16")
    losses = []
    for batch in batches:
        images = load_pixels(batch.paths, settings["input.height"], settings["input.width"]).to(kind)
        labels = {"identity": classes_of(batch.identities, known["identity"]),
                  "camera": classes_of(cameras_of(batch.paths), known["camera"]),
                  "part": torch.zeros(len(batch.paths), dtype=torch.int64)}  # all whole
        model.step = batch.step - 1
        before = {name: buffer.clone() for name, buffer in model.named_buffers()} if batch.skipped else {}
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            total, parts, _ = objective(model, images, labels, settings, adaptive)
        losses.append(float(parts["total"].detach()))
        if batch.skipped:
            for name, buffer in model.named_buffers():
                buffer.copy_(before[name])
            continue
        adam.zero_grad()
        scaler.scale(total).backward()
        for group in adam.param_groups:
            group["lr"] = batch.learning_rate
        scaler.step(adam)
        scaler.update()
    return losses


def judge(report: Report, batches: list[Batch], curves: dict[str, list[float]], options: argparse.Namespace) -> None:
    """Prints all curves and compares the first step and every window with PyTorch's first curve.

    How far PyTorch's further precisions stray from its first in a window is allowed to Lineup too, one and a half
    times, beside a fixed part.
    """
    ours = [batch.loss for batch in batches]
    main_curve = next(iter(curves.values()))
    for index, batch in enumerate(batches):
        if batch.step % 10 == 0 or index in (0, len(batches) - 1):
            theirs = "  ".join(f"PyTorch {name} {curve[index]:9.5f}" for name, curve in curves.items())
            print(f"  step {batch.step:5}  Lineup {batch.loss:9.5f}  {theirs}{'  skipped' if batch.skipped else ''}")
    first = abs(ours[0] - main_curve[0]) / abs(main_curve[0])
    report.check("first step", first <= options.first, f"relative {first:.2e} (limit {options.first:.0e})")
    for start in range(0, len(batches), options.window):
        indices = [i for i in range(start, min(start + options.window, len(batches))) if not batches[i].skipped]
        if not indices:
            continue
        means = {name: sum(curve[i] for i in indices) / len(indices) for name, curve in curves.items()}
        mean, expected = sum(ours[i] for i in indices) / len(indices), next(iter(means.values()))
        drift = max(abs(other - expected) for other in means.values())
        limit = options.relative * expected + options.absolute + 1.5 * drift
        apart = sum(abs(ours[i] - main_curve[i]) for i in indices) / len(indices)
        theirs = " and ".join(f"{value:.4f}" for value in means.values())
        detail = f"mean {mean:.4f}, PyTorch {theirs} (limit {limit:.4f} apart), mean |difference| {apart:.4f}"
        name = f"steps {batches[start].step} to {batches[indices[-1]].step}"
        report.check(name, abs(mean - expected) <= limit, detail)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--data", help="a data set in the Market-1501 layout; one is synthesized without it")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--storage", default="float16", choices=tuple(DEFAULT_PRECISIONS), help="of Lineup")
    parser.add_argument("--precisions", help="PyTorch's, comma-separated; the first is compared, the others show drift")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--window", type=int, default=25)
    parser.add_argument("--first", type=float, help="limit of the first step's relative difference")
    parser.add_argument("--relative", type=float, default=0.1, help="limit of a window's means, relative part")
    parser.add_argument("--absolute", type=float, default=0.05, help="limit of a window's means, absolute part")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    if options.first is None:
        options.first = {"float64": 1e-7, "float32": 1e-4}.get(options.storage, 2e-2)
    precisions = (options.precisions or DEFAULT_PRECISIONS[options.storage]).split(",")
    settings = configuration.resolve(options.config, options.set)
    report = Report()
    with workspace(options.work) as folder:
        data = Path(options.data) if options.data else folder / "data"
        if not options.data:
            run(options.lineup, ["synthesize", "--output", str(data)])
        known = training_classes(data)
        weights = str(folder / "weights.safetensors")
        fresh = ["probe", "--initialize", weights, "--identities", str(len(known["identity"]))]
        run(options.lineup, fresh + settings.lineup_arguments())
        torch.manual_seed(2)
        fit(weights, ReIDNetwork(settings, len(known["identity"]), len(known["camera"])))
        output = folder / "run"
        arguments = ["train", "--data", str(data), "--output", str(output)] + settings.lineup_arguments(
            precision__storage=options.storage, model__weights=weights, log__samples=True, data__augmentation=False,
            schedule__maxSteps=options.steps, optimizer__weightDecay=settings["optimizer.weightDecay"])
        run(options.lineup, arguments, options.ranks)
        batches = read_batches(output, data)
        if len(batches) != options.steps:
            raise SystemExit(f"{output / 'metrics.jsonl'}: {len(batches)} training steps, expected {options.steps}")
        print(f"Lineup {options.storage}, {sum(batch.skipped for batch in batches)} skipped steps", flush=True)
        curves = {precision: train(batches, known, weights, settings, precision) for precision in precisions}
        judge(report, batches, curves, options)
    report.finish()


if __name__ == "__main__":
    main()
