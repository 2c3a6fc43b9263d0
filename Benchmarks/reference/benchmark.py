"""Times training steps of PyTorch and of Lineup in turns on the same machine, and writes a table of medians and ratios.

Every contender runs in processes of its own; those that are compared with one another take turns, a few steps each, so
that a slow minute of the machine meets all of them. `launch/benchmark` builds Lineup, installs PyTorch and runs this.
"""

from __future__ import annotations

import datetime
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

import benchmark_options
import hardware
import settings as configuration
from benchmark_options import Options
from lineup_contender import kernel_paths, multiply_adds, people
from plan import Group, Plan
from runner import workspace
from table import Report, work_key

INTERNAL = 70
INTERRUPTED = 130


def say(text: str) -> None:
    """Progress goes to stderr: the table alone is the output."""
    print(text, file=sys.stderr, flush=True)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Once: what follows ends the contenders, and is not to be interrupted again."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt


def take_turns(group: Group, rounds: int) -> None:
    """A B A B …: one's caches are as cold after the others' turns as the others' are after its own."""
    try:
        for index in range(rounds):
            for contender in group.contenders:
                contender.take_turn(index, f"{group.name} {index + 1}/{rounds}")
    finally:
        for contender in group.contenders:
            contender.steps.close()


def measure(options: Options, folder: Path) -> Report:
    """Runs group after group; what is done is on disk after each."""
    load = hardware.load()
    settings = configuration.resolve(options.config, options.set).with_values(msgr__lambda=0.0)
    paths = kernel_paths(options.lineup)
    data = people(options.lineup, folder, options.identities, options.each)
    options.output.mkdir(parents=True, exist_ok=True)
    plan = Plan(options, settings, paths, data, folder, options.output / "logs")
    groups = plan.groups()
    work = {}
    for contender in (contender for group in groups for contender in group.contenders):
        if work_key(contender) not in work:
            work[work_key(contender)] = multiply_adds(options.lineup, contender.settings, options.identities)
    say("benchmark: measuring the machine's peaks")
    peaks = hardware.peaks(options.lineup, folder, options.threads)
    if not peaks:
        plan.notes.append("`lineup benchmark` gives no peaks: shares of the hardware's limit are left out")
    for note in plan.notes:
        say(f"benchmark: {note}")
    command = options.command or shlex.join(["python", *sys.argv])
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    report = Report(command, date, options, hardware.describe(), load, peaks, work, plan.notes)
    if report.busy:
        say(f"benchmark: other programs run here (load {load:.2f}): the figures will say little")
    for group in groups:
        say(f"benchmark: {group.name}: {group.title}")
        take_turns(group, options.rounds)
        report.groups.append(group)
        (options.output / "benchmark.md").write_text(report.markdown())
        (options.output / "benchmark.json").write_text(report.json())
    return report


def main() -> None:
    options = benchmark_options.parse()
    if not options.lineup:
        say("benchmark: --lineup BINARY is missing")
        raise SystemExit(benchmark_options.USAGE)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    try:
        with workspace(None) as folder:
            report = measure(options, folder)
    except KeyboardInterrupt:
        say("benchmark: interrupted")
        raise SystemExit(INTERRUPTED) from None
    print(report.markdown())
    say(f"benchmark: {options.output / 'benchmark.md'} and benchmark.json")
    if all(contender.failure for group in report.groups for contender in group.contenders):
        say("benchmark: no contender ran")
        raise SystemExit(INTERNAL)


if __name__ == "__main__":
    main()
