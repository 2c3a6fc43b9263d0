"""Times a training step of PyTorch and of Lineup on the same machine, in turns, and prints the ratio.

A step is forward, losses, backward and Adam, on one batch at a time. PyTorch's images stay in memory; Lineup's step
is what its `metrics.jsonl` calls `seconds`. `--torch-only` leaves Lineup out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

import settings as configuration
from losses import objective
from model import ReIDNetwork, initialize
from runner import run, workspace
from settings import Settings

WARM_UP = 2


class TorchStep:
    """A model, its Adam and one batch of noise, ready to be stepped and timed."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        model = ReIDNetwork(settings, options.identities)
        initialize(model, 0)
        self.model = model.to(memory_format=torch.channels_last).train()
        self.settings = settings
        self.adam = torch.optim.Adam(model.parameters(), lr=3.5e-4, weight_decay=settings["optimizer.weightDecay"])
        self.precision: str = options.precision
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15, enabled=self.precision == "float16")
        shape = (options.batch, 3, settings["input.height"], settings["input.width"])
        self.images = torch.randn(shape).to(memory_format=torch.channels_last)
        self.classes = torch.arange(options.batch // options.each).repeat_interleave(options.each)
        self.objective = torch.compile(self.forward) if options.mode == "compile" else self.forward

    def forward(self) -> torch.Tensor:
        """The loss of the batch."""
        reduced = self.precision != "float32"
        kind = getattr(torch, self.precision) if reduced else torch.bfloat16
        with torch.autocast("cpu", dtype=kind, enabled=reduced):
            return objective(self.model, self.images, self.classes, self.settings)[0]

    def seconds(self, steps: int) -> list[float]:
        """The duration of each of `steps` steps."""
        durations = []
        for _ in range(steps):
            start = time.perf_counter()
            loss = self.objective()
            self.adam.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.adam)
            self.scaler.update()
            durations.append(time.perf_counter() - start)
        return durations


def lineup_seconds(
    binary: str, data: Path, output: Path, settings: Settings, options: argparse.Namespace
) -> list[float]:
    """The duration of each step of a fresh `lineup train`, those of the warm-up left out."""
    arguments = ["train", "--data", str(data), "--output", str(output)] + settings.lineup_arguments(
        sampling__identities=options.batch // options.each, sampling__images=options.each,
        schedule__maxSteps=options.steps + WARM_UP, threads=options.threads // options.ranks)
    run(binary, arguments, options.ranks)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines() if line.strip()]
    steps = [float(line["seconds"]) for line in lines if "loss" in line and "seconds" in line]
    if len(steps) <= WARM_UP:
        raise SystemExit(f"{output / 'metrics.jsonl'}: {len(steps)} training steps, expected more than {WARM_UP}")
    return steps[WARM_UP:]


def summarize(name: str, durations: list[float], batch: int) -> float:
    """Prints the median and the best; returns the median's images a second."""
    median, best = statistics.median(durations), min(durations)
    print(f"{name:36} median {median:7.3f} s {batch / median:6.2f} images/s   best {best:7.3f} s "
          f"{batch / best:6.2f} images/s   {len(durations)} steps", flush=True)
    return batch / median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", help="the lineup binary")
    parser.add_argument("--torch-only", action="store_true")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"), help="PyTorch's")
    parser.add_argument("--mode", default="eager", choices=("eager", "compile"), help="PyTorch's")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--each", type=int, default=4, help="images of each identity in the batch")
    parser.add_argument("--identities", type=int, default=64, help="classes, and identities of the data set")
    parser.add_argument("--threads", type=int, default=2, help="of either side; Lineup's ranks share them")
    parser.add_argument("--ranks", type=int, default=1, help="Lineup's")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--steps", type=int, default=5, help="timed steps a turn")
    parser.add_argument("--data", help="a data set for Lineup; one is synthesized without it")
    options = parser.parse_args()
    if not options.torch_only and not options.lineup:
        parser.error("--lineup BINARY or --torch-only")
    if options.batch % options.each or options.batch // options.each > options.identities:
        parser.error("--batch must be a multiple of --each, of no more identities than --identities")
    settings = configuration.resolve(options.config, options.set)
    torch_step = TorchStep(settings, options)
    torch_durations: list[float] = []
    lineup_durations: list[float] = []
    with workspace(None) as folder:
        data = Path(options.data) if options.data else folder / "data"
        if options.lineup and not options.torch_only and not options.data:
            run(options.lineup, ["synthesize", "--output", str(data), "--identities", str(options.identities),
                                 "--images", str(max(8, options.each))])
        for turn in range(options.rounds):
            # PyTorch's caches are as cold after Lineup's turn as Lineup's are after PyTorch's.
            torch_durations += torch_step.seconds(WARM_UP + options.steps)[WARM_UP:]
            if not options.torch_only:
                output = folder / f"run-{turn}"
                lineup_durations += lineup_seconds(options.lineup, data, output, settings, options)
    size = f"{settings['input.height']}×{settings['input.width']}, batch {options.batch}, {options.threads} threads"
    print(f"{settings['model.head']}, {size}{', MSGR' if settings['msgr.lambda'] else ''}")
    name = f"PyTorch {torch.__version__} {options.precision} {options.mode}"
    theirs = summarize(name, torch_durations, options.batch)
    if lineup_durations:
        ours = summarize(f"Lineup, {options.ranks} rank(s)", lineup_durations, options.batch)
        print(f"Lineup / PyTorch: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
