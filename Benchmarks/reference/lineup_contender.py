"""Lineup's side: a fresh `lineup train` each turn, under mpirun where there are several ranks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import processes
from contender import Failed
from runner import mpi_environment, run
from settings import Settings

WARM_UP = 2
# From the default a fresh network's first steps overflow and are skipped: they would be timed without their update.
LOSS_SCALE = 1024
PEAK = Path(__file__).with_name("peak.py")


def people(binary: str, folder: Path, identities: int, images: int) -> Path:
    """A data set of generated people to train on; one alone to be evaluated, because every run ends with an evaluation.

    `identities` for training (the other half is for evaluation), at least `images` of each.
    """
    drawn = folder / "people"
    run(binary, ["synthesize", "--output", str(drawn), "--identities", str(2 * identities),
                 "--images", str(max(2, -(-images // 4)))])
    rows = ["path,identity,camera,split"]
    judged = ""
    for split, name in (("train", "bounding_box_train"), ("query", "query"), ("gallery", "bounding_box_test")):
        for path in sorted((drawn / name).glob("*.jpg")):
            identity, camera = re.match(r"(-?\d+)_c(\d+)", path.name).groups()  # type: ignore[union-attr]
            judged = judged or (identity if split == "query" else "")
            if split == "train" or identity == judged:
                rows.append(f"{path},{int(identity)},{camera},{split}")
    listing = folder / "people.csv"
    listing.write_text("\n".join(rows) + "\n")
    return listing


def kernel_paths(binary: str) -> list[str]:
    """The paths that `lineup doctor` finds, the one chosen first."""
    said = subprocess.run([binary, "doctor"], capture_output=True, text=True, check=False)
    found = re.search(r"^kernels\s+(\w+) \(available: ([\w, ]+)\)", said.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"benchmark: {binary} doctor: {(said.stderr.strip() or 'names no kernels').splitlines()[-1]}")
    chosen, paths = found.group(1), found.group(2).split(", ")
    return [chosen, *(path for path in paths if path != chosen)]


def multiply_adds(binary: str, settings: Settings, identities: int) -> float:
    """Of a training step, an image, in billions, as `lineup describe` counts them."""
    command = [binary, "describe", "--identities", str(identities), *lineup_arguments(settings)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        print(said.stderr.strip().splitlines()[-1], file=sys.stderr)
        raise SystemExit(said.returncode)
    found = re.search(r"^multiply-adds of a step, an image: .*together ([\d.]+) G", said.stdout, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def lineup_arguments(settings: Settings, **extra: object) -> list[str]:
    """`settings` for Lineup, with those keys last that groups of contenders differ in."""
    keys = ("model.head", "msgr.lambda", "msgr.norm", "msgr.at")
    return settings.lineup_arguments(**{key.replace(".", "__"): settings[key] for key in keys}, **extra)


@dataclass
class LineupSteps:
    """Timed steps of `lineup train`; the data set, the settings and how many ranks and threads."""

    binary: str
    data: Path
    settings: Settings
    multiply: str  # precision.multiply: "exact" or "bfloat16"
    batch: int
    each: int
    threads: int  # of one rank
    ranks: int
    steps: int
    limit: float  # seconds a step
    folder: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    peak: int = 0
    software: str = ""
    skipped: int = 0  # steps that were not timed because they made no update: the loss scale was too large

    def turn(self, index: int) -> list[float]:
        """Trains for the warm-up and the timed steps."""
        run_folder, peaks = self.folder / "run", self.folder / "peaks"
        peaks.mkdir(parents=True)
        try:
            self.train(run_folder, peaks)
            self.peak = max(self.peak, sum(int(file.read_text()) for file in peaks.iterdir()))
            return self.timed(run_folder / "metrics.jsonl")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def train(self, run_folder: Path, peaks: Path) -> None:
        """One run. Throws `Failed` with what it said where it fails or takes too long."""
        total = WARM_UP + self.steps
        arguments = ["train", "--data", str(self.data), "--output", str(run_folder)] + lineup_arguments(
            self.settings, precision__multiply=self.multiply, sampling__identities=self.batch // self.each,
            sampling__images=self.each, schedule__maxSteps=total, threads=self.threads,
            lossScale__initial=LOSS_SCALE)
        command = [sys.executable, str(PEAK), str(peaks), self.binary, *arguments]
        if self.ranks > 1:
            bound = ["--map-by", f"slot:PE={self.threads}", "--bind-to", "core"]
            command = ["mpirun", "-n", str(self.ranks), *bound, *command]
        self.log.unlink(missing_ok=True)
        process = processes.start(command, {**mpi_environment(), **self.environment}, self.log)
        try:
            code = process.wait(self.limit * total)
        except subprocess.TimeoutExpired:
            raise Failed(f"{total} steps took longer than {self.limit * total:g} s") from None
        finally:
            processes.stop(process)
        if code:
            raise Failed(processes.reason(code, self.log))

    def timed(self, metrics: Path) -> list[float]:
        """Seconds of each step after the warm-up, as `metrics.jsonl` has them; skipped ones have no update and do not count."""
        lines = [json.loads(line) for line in metrics.read_text().splitlines() if line.strip()]
        steps = [line for line in lines if "loss" in line and "seconds" in line]
        if len(steps) != WARM_UP + self.steps:
            raise Failed(f"metrics.jsonl has {len(steps)} steps, expected {WARM_UP + self.steps}")
        # `skipped` counts from the start of the run.
        pairs = list(zip(steps[WARM_UP - 1 :], steps[WARM_UP:]))
        updating = [after for before, after in pairs if after["skipped"] == before["skipped"]]
        self.skipped += len(pairs) - len(updating)
        if not updating:
            raise Failed("every timed step was skipped: the loss scale is too large")
        return [float(step["seconds"]) for step in updating]

    def close(self) -> None:
        """Nothing runs between turns."""
