"""What was measured, as a page of Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmark_options import Options
from contender import Contender, Ratio, compare
from hardware import Machine
from plan import Group

GIB = 2**30
BUSY = 0.25  # processes a core


@dataclass
class Report:
    """A benchmark's circumstances and the groups that are done."""

    command: str
    date: str
    options: Options
    machine: Machine
    load: float  # processes that wanted a core before the first contender did
    peaks: Mapping[str, float]  # empty where Lineup does not measure them
    multiply_adds: Mapping[str, float]  # of a step, an image, in billions, by contender's `work`
    notes: list[str]
    groups: list[Group] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether others used so much of the machine that the figures say little."""
        return self.load > BUSY * self.machine.cores

    def work(self, contender: Contender) -> float:
        """Multiply-adds of a step of its network, an image, in billions."""
        return self.multiply_adds[work_key(contender)]

    def share(self, contender: Contender) -> float | None:
        """Of the peak of the cores that it ran on."""
        peak = self.peaks.get(contender.arithmetic)
        if not peak:
            return None
        return 2 * self.work(contender) * self.options.batch / contender.median / (peak * contender.cores)

    def software(self) -> list[str]:
        """What ran beside Lineup."""
        found = {contender.steps.software for group in self.groups for contender in group.contenders}
        return sorted(found - {""})

    def skipped(self) -> int:
        """Steps of Lineup that were left out because they made no update."""
        return sum(getattr(c.steps, "skipped", 0) for group in self.groups for c in group.contenders)

    def markdown(self) -> str:
        """The page."""
        parts = ["# Training steps of Lineup and of PyTorch\n", f"`{self.command}`\n", self.circumstances(),
                 *(self.section(group) for group in self.groups), self.explanation()]
        return "\n".join(parts)

    def circumstances(self) -> str:
        """The machine, the software and the setting."""
        machine, options = self.machine, self.options
        sets = " ".join(f"--set {pair}" for pair in options.set)
        lines = {
            "date": self.date,
            "CPU": machine.cpu + (", virtual machine" if machine.virtual else ""),
            "cores": f"{machine.cores} in the affinity mask, {options.threads} used",
            "instruction sets": ", ".join(machine.instructions) or "none of note",
            "load before": f"{self.load:.2f} processes" + (" (BUSY: do not quote these figures)" if self.busy else ""),
            "memory": f"{machine.memory:.1f} GiB",
            "system": machine.system,
            "software": "; ".join(self.software()) or "Lineup alone",
            "batch": f"{options.batch} images, {options.each} of each identity" + (f"; {sets}" if sets else ""),
            "turns": f"{options.rounds} rounds, {options.steps} timed steps a turn "
                     f"(PyTorch's with MSGR: {options.torch_steps})",
        }
        if self.peaks:
            units = {"float32": "GFLOP/s a core", "bfloat16": "GFLOP/s a core", "copy": "GB/s"}
            lines["peaks"] = ", ".join(f"{name} {self.peaks[name]:.0f} {unit}" for name, unit in units.items()
                                       if name in self.peaks)
        return table(["", ""], [[name, value] for name, value in lines.items()])

    def section(self, group: Group) -> str:
        """A group's rows and its ratios."""
        heads = ["contender", "s/step", "images/s", "best step", "peak memory"] + ["of the limit"] * bool(self.peaks)
        rows = [self.row(contender, len(heads)) for contender in group.contenders]
        text = f"## {group.name}: {group.title}\n\n{table(heads, rows)}"
        ratios = [[r.title, f"**{r.value:.2f}**", r.target, r.rival, ", ".join(f"{value:.2f}" for value in r.rounds)]
                  for r in self.ratios(group)]
        if ratios:
            text += "\n" + table(["ratio", "", "target", "against", "by round"], ratios)
        return text

    def row(self, contender: Contender, width: int) -> list[str]:
        if contender.failure or not contender.turns:
            return [contender.name, f"failed: {contender.failure or 'no turn'}".replace("|", "\\|"), *[""] * (width - 2)]
        median = contender.median
        cells = [contender.name, f"{median:.3f}", f"{self.options.batch / median:.2f}", f"{min(contender.seconds):.3f}",
                 f"{contender.steps.peak / GIB:.2f} GiB"]
        if self.peaks:
            share = self.share(contender)
            cells.append("" if share is None else f"{100 * share:.0f} % of {contender.arithmetic}")
        return cells

    def ratios(self, group: Group) -> list[Ratio]:
        """Those whose contenders have not failed."""
        found = (compare(comparison, group.contenders) for comparison in group.comparisons)
        return [ratio for ratio in found if ratio]

    def explanation(self) -> str:
        """How to read it."""
        lines = [
            "Seconds are the median of all timed steps (forward, losses, backward, Adam). A ratio of speeds is the median over "
            "rounds of (median seconds of a round of the rival / of Lineup), the rival the faster of PyTorch's modes; a ratio "
            "of memory is to the smaller of them. Targets are for a machine with AMX.",
            "Peak memory is what a contender's processes had resident at most, added up over ranks.",
            f"Lineup's steps without an update (loss scale too large) are left out; there were {self.skipped()}.",
        ]
        if self.peaks:
            lines.append("Of the limit: two operations a multiply-add that `lineup describe` counts, by the peak of the cores; those that Winograd saves count.")
        return "\n".join(f"- {line}" for line in lines + self.notes) + "\n"

    def json(self) -> str:
        """All of it, every timed step included."""
        return json.dumps({
            "command": self.command, "date": self.date, "machine": asdict(self.machine), "loadBefore": self.load, "busy": self.busy,
            "software": self.software(),
            "options": {key: value for key, value in vars(self.options).items() if key not in ("output", "command")},
            "peaks": dict(self.peaks), "notes": self.notes, "skippedSteps": self.skipped(),
            "groups": [self.group_values(group) for group in self.groups],
        }, indent=2, ensure_ascii=False) + "\n"

    def group_values(self, group: Group) -> dict[str, Any]:
        contenders = []
        for contender in group.contenders:
            values: dict[str, Any] = {"name": contender.name}
            if contender.failure or not contender.turns:
                values["failure"] = contender.failure or "no turn"
            else:
                values |= {
                    "medianSeconds": contender.median, "imagesPerSecond": self.options.batch / contender.median,
                    "turns": contender.turns, "peakBytes": contender.steps.peak, "arithmetic": contender.arithmetic,
                    "gigaMultiplyAddsPerImage": self.work(contender), "shareOfLimit": self.share(contender),
                }
            contenders.append(values)
        return {"name": group.name, "title": group.title, "contenders": contenders,
                "ratios": [asdict(ratio) for ratio in self.ratios(group)]}


def work_key(contender: Contender) -> str:
    """What the work of a step depends on, where contenders differ."""
    return f"{contender.settings['model.head']} {contender.settings['msgr.lambda']}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """In Markdown, with columns of one width so that it reads in a terminal, too."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    # A long reason for a failure is let stand out.
    widths[1:] = [min(width, 24) for width in widths[1:]]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"

    return "\n".join([line(heads), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]) + "\n"
