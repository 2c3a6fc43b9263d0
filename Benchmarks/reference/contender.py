"""Contenders that take turns in timed training steps, what was measured of them, and how two compare."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from settings import Settings


class Failed(Exception):
    """Why a contender dropped out, in one line."""


class Steps(Protocol):
    """One way to run training steps, in processes of its own."""

    peak: int  # bytes resident at most, of all its processes together, so far
    software: str  # what ran and its version, once it has run

    def turn(self, index: int) -> list[float]:
        """Seconds of each timed step of turn `index`, counted from 0. Throws `Failed`."""

    def close(self) -> None:
        """Ends its processes."""


@dataclass
class Contender:
    """A row of the table."""

    name: str
    settings: Settings  # of the network that it trains
    arithmetic: str  # "float32" or "bfloat16": which of the machine's peaks its multiply-adds are held against
    cores: int
    steps: Steps
    turns: list[list[float]] = field(default_factory=list)
    failure: str = ""

    def take_turn(self, index: int, place: str) -> None:
        """Times the steps of one turn, and prints them. One that fails is asked no more."""
        if self.failure:
            return
        try:
            self.turns.append(self.steps.turn(index))
            said = " ".join(f"{seconds:.3f}" for seconds in self.turns[-1])
        except Failed as reason:
            self.failure = str(reason)
            said = f"failed: {self.failure}"
            self.steps.close()
        print(f"{place}  {self.name:42} {said}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> list[float]:
        """Of every timed step."""
        return [step for turn in self.turns for step in turn]

    @property
    def median(self) -> float:
        """Seconds of the median of all timed steps."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """`name` held against the best of `rivals`: how many times as fast, or how much of the memory."""

    title: str
    name: str
    rivals: tuple[str, ...]
    target: float | None = None
    of_memory: bool = False


@dataclass(frozen=True)
class Ratio:
    """A comparison's outcome."""

    title: str
    value: float
    rounds: list[float]
    rival: str
    target: str


def compare(comparison: Comparison, contenders: Sequence[Contender]) -> Ratio | None:
    """The ratio to the best of the rivals that have not failed; nothing where one side is missing.

    Of speed it is the median over rounds of the ratios of each round's medians, of memory that of the peaks.
    """
    running = {contender.name: contender for contender in contenders if contender.turns and not contender.failure}
    rivals = [running[name] for name in comparison.rivals if name in running]
    if comparison.name not in running or not rivals:
        return None
    subject, target = running[comparison.name], comparison.target
    # The best of those that are left may not be the best: said wherever the ratio is.
    missing = "" if len(rivals) == len(comparison.rivals) else " (a rival failed)"
    if comparison.of_memory:
        rival = min(rivals, key=lambda contender: contender.steps.peak)
        bound = "" if target is None else f"≤ {target:g}"
        return Ratio(comparison.title, subject.steps.peak / rival.steps.peak, [], rival.name + missing, bound)
    rival = min(rivals, key=lambda contender: contender.median)
    rounds = [statistics.median(a) / statistics.median(b) for a, b in zip(rival.turns, subject.turns)]
    bound = "" if target is None else f"≥ {target:g}"
    return Ratio(comparison.title, statistics.median(rounds), rounds, rival.name + missing, bound)
