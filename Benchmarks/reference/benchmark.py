"""Times a training step of PyTorch and of Lineup on the same machine, in turns, and prints the ratio.

A step is forward, losses, backward and Adam, on one batch at a time. PyTorch's images stay in memory; Lineup's step
is what its `metrics.jsonl` calls `seconds`. `--torch-only` leaves Lineup out, `--lineup-only` PyTorch.

`--msgr` times the step with the gradient regularizer beside the plain step, both of both, in the same turns, and prints
how many plain steps one costs. PyTorch's is a double backward: give it few steps with `--torch-steps`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

import settings as configuration
from adaptive import AdaptiveL2
from losses import objective
from model import ReIDNetwork, initialize
from runner import run, workspace
from settings import Settings

WARM_UP = 2
MSGR_LAMBDA = 0.01


class TorchStep:
    """A model, its Adam and one batch of noise, ready to be stepped and timed."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        model = ReIDNetwork(settings, options.identities)
        initialize(model, 0)
        self.model = model.to(memory_format=torch.channels_last).train()
        self.settings = settings
        self.adaptive = AdaptiveL2(model, settings)
        self.adam = self.adaptive.adam(settings, lr=3.5e-4)
        self.precision: str = options.precision
        self.steps: int = options.torch_steps or options.steps
        self.slow: bool = options.torch_steps is not None
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
            return objective(self.model, self.images, self.classes, self.settings, self.adaptive)[0]

    def turn(self, turn: int) -> list[float]:
        """The duration of each step of one turn, those of the warm-up left out."""
        warm_up = WARM_UP if not self.slow else 1 if turn == 0 else 0
        durations = []
        for _ in range(warm_up + self.steps):
            start = time.perf_counter()
            loss = self.objective()
            self.adam.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.adam)
            self.scaler.update()
            durations.append(time.perf_counter() - start)
        return durations[warm_up:]


@dataclass
class Contender:
    """One kind of step, how to time some of them, and what was measured."""

    name: str
    measure: Callable[[int], list[float]]
    turns: list[list[float]] = field(default_factory=list)

    def take_turn(self, turn: int) -> None:
        """Times the steps of one turn, and prints them."""
        self.turns.append(self.measure(turn))
        seconds = " ".join(f"{step:.3f}" for step in self.turns[-1])
        print(f"turn {turn + 1}  {self.name:40} {seconds}", flush=True)

    def median(self) -> float:
        """Of the steps of all turns."""
        return statistics.median(step for turn in self.turns for step in turn)

    def summarize(self, batch: int) -> None:
        """Prints the median and the best."""
        steps = [step for turn in self.turns for step in turn]
        median, best = self.median(), min(steps)
        print(f"{self.name:40} median {median:7.3f} s {batch / median:6.2f} images/s   best {best:7.3f} s "
              f"{batch / best:6.2f} images/s   {len(steps)} steps", flush=True)


def ratio(name: str, slow: Contender, fast: Contender) -> None:
    """Prints how many times longer a step of `slow` takes, by all steps' medians, and by each turn's."""
    turns = [statistics.median(a) / statistics.median(b) for a, b in zip(slow.turns, fast.turns)]
    print(f"{name}: {slow.median() / fast.median():.2f}  (turns {', '.join(f'{value:.2f}' for value in turns)})")


def lineup_turn(
    binary: str, data: Path, runs: Path, settings: Settings, options: argparse.Namespace, turn: int
) -> list[float]:
    """The duration of each step of a fresh `lineup train`, those of the warm-up left out."""
    output = runs / str(turn)
    arguments = ["train", "--data", str(data), "--output", str(output)] + settings.lineup_arguments(
        sampling__identities=options.batch // options.each, sampling__images=options.each,
        schedule__maxSteps=options.steps + WARM_UP, threads=options.threads // options.ranks,
        **{f"msgr__{key}": settings[f"msgr.{key}"] for key in ("lambda", "norm", "at")})
    run(binary, arguments, options.ranks)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines() if line.strip()]
    steps = [line for line in lines if "loss" in line and "seconds" in line]
    if len(steps) <= WARM_UP:
        raise SystemExit(f"{output / 'metrics.jsonl'}: {len(steps)} training steps, expected more than {WARM_UP}")
    skipped = sum(bool(line.get("skipped", False)) for line in steps[WARM_UP:])
    if skipped:
        print(f"{skipped} of Lineup's {len(steps) - WARM_UP} timed steps were skipped (the loss scale was too large)")
    return [float(line["seconds"]) for line in steps[WARM_UP:]]


def contenders(settings: Settings, data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Contender]:
    """What takes turns, by "PyTorch" or "Lineup" and " MSGR": plain and regularized steps stand side by side."""
    kinds = {"": settings}
    if options.msgr:
        kinds = {"": settings.with_values(msgr__lambda=0.0), " MSGR": settings}
    found: dict[str, Contender] = {}
    for kind, chosen in kinds.items():
        if not options.lineup_only:
            name = f"PyTorch {torch.__version__.split('+')[0]} {options.precision} {options.mode}{kind}"
            found["PyTorch" + kind] = Contender(name, TorchStep(chosen, options).turn)
        if not options.torch_only:
            turn = partial(lineup_turn, options.lineup, data, folder / f"run{kind.strip()}", chosen, options)
            found["Lineup" + kind] = Contender(f"Lineup, {options.ranks} rank(s){kind}", turn)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", help="the lineup binary")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--torch-only", action="store_true")
    only.add_argument("--lineup-only", action="store_true")
    parser.add_argument("--msgr", action="store_true", help=f"also steps with MSGR, λ {MSGR_LAMBDA} where none is set")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"), help="PyTorch's")
    parser.add_argument("--mode", default="eager", choices=("eager", "compile"), help="PyTorch's")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--each", type=int, default=4, help="images of each identity in the batch")
    parser.add_argument("--identities", type=int, default=64, help="classes, and identities of the data set")
    parser.add_argument("--threads", type=int, default=2, help="of either side; Lineup's ranks share them")
    parser.add_argument("--ranks", type=int, default=1, help="Lineup's")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--steps", type=int, default=5, help="timed steps a turn")
    parser.add_argument("--torch-steps", type=int, help="PyTorch's timed steps a turn, after one to warm up in the first turn")
    parser.add_argument("--data", help="a data set for Lineup; one is synthesized without it")
    options = parser.parse_args()
    if not options.torch_only and not options.lineup:
        parser.error("--lineup BINARY or --torch-only")
    if options.batch % options.each or options.batch // options.each > options.identities:
        parser.error("--batch must be a multiple of --each, of no more identities than --identities")
    if options.msgr and options.mode == "compile":
        parser.error("--mode compile: torch.compile has no double backward")
    settings = configuration.resolve(options.config, options.set)
    if options.msgr and not settings["msgr.lambda"]:
        settings = settings.with_values(msgr__lambda=MSGR_LAMBDA)
    with workspace(None) as folder:
        data = Path(options.data) if options.data else folder / "data"
        if not options.torch_only and not options.data:
            run(options.lineup, ["synthesize", "--output", str(data), "--identities", str(options.identities),
                                 "--images", str(max(8, options.each))])
        found = contenders(settings, data, folder, options)
        for turn in range(options.rounds):
            # One's caches are as cold after the others' turns as the others' are after its own.
            for contender in found.values():
                contender.take_turn(turn)
    size = f"{settings['input.height']}×{settings['input.width']}, batch {options.batch}, {options.threads} threads"
    at = f", MSGR λ {settings['msgr.lambda']} norm {settings['msgr.norm']} at {settings['msgr.at']}"
    print(f"{settings['model.head']}, {size}{at if settings['msgr.lambda'] else ''}")
    for contender in found.values():
        contender.summarize(options.batch)
    for kind in ("", " MSGR"):
        if {"PyTorch" + kind, "Lineup" + kind} <= found.keys():
            ratio(f"seconds of PyTorch / of Lineup,{kind or ' plain'}", found["PyTorch" + kind], found["Lineup" + kind])
    for side in ("PyTorch", "Lineup"):
        if side + " MSGR" in found:
            ratio(f"MSGR step / plain step, {side}", found[side + " MSGR"], found[side])


if __name__ == "__main__":
    main()
