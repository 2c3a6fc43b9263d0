"""The command line of the benchmark. Needs the standard library alone: a wrong option is told before anything is installed."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

GROUPS = {
    "bfloat16": "MSFL with bfloat16 and with exact products, against PyTorch in bfloat16; peak memory",
    "float32": "MSFL on the avx512 path against PyTorch in float32",
    "avx2": "MSFL on the avx2 path against PyTorch in float32, oneDNN limited to AVX2",
    "baseline": "ResNet-50 alone, bfloat16 both sides",
    "msgr": "MSFL with the gradient regularizer, bfloat16 both sides; PyTorch's is a double backward",
    "ranks": "several processes, bfloat16 both sides: MPI against DistributedDataParallel over gloo",
}
MODES = ("eager", "compile")
QUICK = {"only": ["bfloat16", "float32"], "modes": ["eager"], "rounds": 2, "steps": 2}
FULL = {"only": list(GROUPS), "modes": list(MODES), "rounds": 3, "steps": 4}
USAGE = 64


@dataclass(frozen=True)
class Options:
    """What is measured, on how much of the machine, and where the result goes."""

    lineup: str
    only: list[str]
    modes: list[str]
    batch: int
    each: int
    identities: int
    threads: int
    ranks: int
    rounds: int
    steps: int
    torch_steps: int
    limit: float
    output: Path
    config: str | None
    set: list[str]
    command: str | None

    def problem(self) -> str | None:
        """What is wrong with the values, in one line."""
        cores = len(os.sched_getaffinity(0))
        for name, value in (("batch", self.batch), ("each", self.each), ("identities", self.identities),
                            ("rounds", self.rounds), ("steps", self.steps), ("torch-steps", self.torch_steps)):
            if value < 1:
                return f"--{name} is {value}, expected 1 or more"
        if self.batch % self.each or not 2 <= self.batch // self.each <= self.identities:
            return f"--batch {self.batch}: expected a multiple of --each {self.each}, 2 to --identities " \
                   f"{self.identities} identities"
        if not 1 <= self.threads <= cores:
            return f"--threads is {self.threads}, expected 1 to {cores}, the cores of this process"
        if self.ranks < 2:
            return f"--ranks is {self.ranks}, expected 2 or more"
        if not self.limit > 0:
            return f"--limit is {self.limit:g}, expected more than 0"
        pairs = [pair for pair in self.set if "=" not in pair]
        if pairs:
            return f"--set {pairs[0]}: expected key=value"
        if self.config and not Path(self.config).is_file():
            return f"--config {self.config}: no such file"
        if self.lineup and not os.access(self.lineup, os.X_OK):
            return f"--lineup {self.lineup}: not an executable file"
        return None


class Parser(argparse.ArgumentParser):
    """Ends with one line and Lineup's exit code for usage."""

    def error(self, message: str) -> NoReturn:
        print(f"benchmark: {message}", file=sys.stderr)
        raise SystemExit(USAGE)


def choice(names: Any) -> Any:
    """A parser of comma-separated names, each one of `names`."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        for name in chosen:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
        return [name for name in names if name in chosen]

    return parse


def parse(arguments: list[str] | None = None) -> Options:
    """The options, or one line on stderr and exit code 64."""
    groups = "\n".join(f"  {name:10} {title}" for name, title in GROUPS.items())
    parser = Parser(prog="benchmark", formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
                    description="Times training steps of PyTorch and of Lineup in turns.", epilog=f"groups:\n{groups}")
    cores = len(os.sched_getaffinity(0))
    output = Path(__file__).resolve().parents[2] / "runs" / "benchmark"
    parser.add_argument("--lineup", default="", help="the lineup binary")
    parser.add_argument("--quick", action="store_true",
                        help=f"other defaults: --only {','.join(QUICK['only'])} --modes eager --rounds 2 --steps 2")
    parser.add_argument("--only", type=choice(GROUPS), metavar="NAMES", help="groups, comma-separated (default: all)")
    parser.add_argument("--modes", type=choice(MODES), metavar="NAMES", help="PyTorch's: eager,compile (default: both)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--each", type=int, default=4, help="images of each identity in the batch (default: 4)")
    parser.add_argument("--identities", type=int, default=64, help="classes (default: 64)")
    parser.add_argument("--threads", type=int, default=cores, help="of either side (default: all cores of the process)")
    parser.add_argument("--ranks", type=int, default=2, help="processes that share them in group ranks (default: 2)")
    parser.add_argument("--rounds", type=int, help=f"turns of every contender (default: {FULL['rounds']})")
    parser.add_argument("--steps", type=int, help=f"timed steps a turn (default: {FULL['steps']})")
    parser.add_argument("--torch-steps", type=int, default=1, help="the same of PyTorch in group msgr (default: 1)")
    parser.add_argument("--limit", type=float, default=1800, metavar="SECONDS",
                        help="a contender whose step takes longer drops out (default: 1800)")
    parser.add_argument("--output", type=Path, default=output, metavar="DIR",
                        help="gets benchmark.md and benchmark.json (default: runs/benchmark)")
    parser.add_argument("--config", metavar="FILE", help="a Lineup configuration file (YAML), for both sides")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, for both sides")
    parser.add_argument("--command", help=argparse.SUPPRESS)  # how the launcher was called, for the report
    values = vars(parser.parse_args(arguments))
    defaults = QUICK if values.pop("quick") else FULL
    options = Options(**{key: defaults[key] if value is None and key in defaults else value
                         for key, value in values.items()})
    if problem := options.problem():
        parser.error(problem)
    return options


if __name__ == "__main__":
    parse()
