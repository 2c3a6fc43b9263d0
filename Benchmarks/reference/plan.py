"""Who is held against whom: the groups of contenders that take turns, and the ratios that are asked of them.

Targets are those of a machine with AMX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark_options import GROUPS, Options
from contender import Comparison, Contender
from lineup_contender import LineupSteps
from settings import Settings
from torch_contender import Task, TorchSteps

MSGR_LAMBDA = 0.01
TORCH_WARM_UP = (2, 1)
# A double backward takes minutes where bfloat16 is slow.
SLOW_WARM_UP = (1, 0)


@dataclass
class Group:
    """Contenders that take turns with one another."""

    name: str
    contenders: list[Contender]
    comparisons: list[Comparison]

    @property
    def title(self) -> str:
        return GROUPS[self.name]


@dataclass
class Plan:
    """Makes the groups; `notes` says what was left out and why."""

    options: Options
    msfl: Settings  # the plain network
    paths: list[str]  # Lineup's kernel paths on this machine, its choice first
    data: Path
    folder: Path  # for files in between
    logs: Path
    notes: list[str] = field(default_factory=list)

    def groups(self) -> list[Group]:
        """Those that were asked for and that this machine can run."""
        if "amx" not in self.paths:
            self.notes.append(f"amx: not available (available: {', '.join(self.paths)}); the targets presume it")
        found = [getattr(self, name)() for name in self.options.only]
        return [group for group in found if group]

    def bfloat16(self) -> Group:
        rivals = self.torch_modes(self.msfl, "bfloat16")
        reduced, exact = self.lineup(self.msfl, "bfloat16"), self.lineup(self.msfl, "exact")
        return Group("bfloat16", [*rivals, reduced, exact], [
            speed("MSFL, multiply bfloat16", reduced, rivals, 2.5),
            speed("MSFL, multiply exact", exact, rivals, 1.5),
            Comparison("MSFL, peak memory", reduced.name, names(rivals), 0.7, of_memory=True),
        ])

    def float32(self) -> Group | None:
        if not self.has("avx512", "float32"):
            return None
        rivals, exact = self.torch_modes(self.msfl, "float32"), self.lineup(self.msfl, "exact", path="avx512")
        return Group("float32", [*rivals, exact], [speed("MSFL on avx512", exact, rivals, 1.4)])

    def avx2(self) -> Group | None:
        if not self.has("avx2", "avx2"):
            return None
        rivals = self.torch_modes(self.msfl, "float32", limit="AVX2")
        exact = self.lineup(self.msfl, "exact", path="avx2")
        return Group("avx2", [*rivals, exact], [speed("MSFL on avx2", exact, rivals, 1.2)])

    def baseline(self) -> Group:
        settings = self.msfl.with_values(model__head="baseline")
        rivals, reduced = self.torch_modes(settings, "bfloat16"), self.lineup(settings, "bfloat16")
        return Group("baseline", [*rivals, reduced], [speed("baseline, multiply bfloat16", reduced, rivals, 2.0)])

    def msgr(self) -> Group:
        """torch.compile has no double backward."""
        settings = self.msfl.with_values(msgr__lambda=MSGR_LAMBDA)
        rival = self.torch(settings, "bfloat16", "eager", name="PyTorch MSGR bfloat16 eager", slow=True)
        reduced, plain = self.lineup(settings, "bfloat16", name="Lineup MSGR"), self.lineup(self.msfl, "bfloat16")
        return Group("msgr", [rival, reduced, plain], [
            speed("MSFL + MSGR, multiply bfloat16", reduced, [rival], 10),
            speed("a step with MSGR, in plain steps", plain, [reduced]),
        ])

    def ranks(self) -> Group | None:
        ranks, threads = self.options.ranks, self.options.threads
        if threads % ranks or self.options.batch % ranks:
            self.notes.append(f"ranks: left out: {threads} threads and a batch of {self.options.batch} "
                              f"cannot be divided by {ranks} ranks")
            return None
        rivals = self.torch_modes(self.msfl, "bfloat16", ranks=ranks)
        many, one = self.lineup(self.msfl, "bfloat16", ranks=ranks), self.lineup(self.msfl, "bfloat16")
        return Group("ranks", [*rivals, many, one], [
            speed(f"MSFL on {sizes(ranks, threads)}, against DDP", many, rivals, 2.0),
            speed(f"{sizes(ranks, threads)}, against {sizes(1, threads)}", many, [one], 0.92),
        ])

    def has(self, path: str, group: str) -> bool:
        """Whether Lineup has the kernel path here; notes that the group is left out where it has not."""
        if path not in self.paths:
            self.notes.append(f"{group}: left out: kernel path {path} is not available on this machine")
        return path in self.paths

    def torch_modes(self, settings: Settings, precision: str, *, limit: str = "", ranks: int = 1) -> list[Contender]:
        return [self.torch(settings, precision, mode, limit=limit, ranks=ranks) for mode in self.options.modes]

    def torch(
        self, settings: Settings, precision: str, mode: str, *, name: str = "", limit: str = "", ranks: int = 1,
        slow: bool = False
    ) -> Contender:
        """PyTorch; `limit` caps what oneDNN uses of the CPU, several `ranks` share the threads and the batch."""
        options = self.options
        name = name or f"PyTorch {precision} {mode}" + (f", {limit}" if limit else "")
        name += f", DDP {sizes(ranks, options.threads)}" if ranks > 1 else ""
        task = Task(settings.values, precision, mode, options.batch, options.each, options.identities,
                    options.threads // ranks, ranks=ranks, meeting=str(self.folder / f"meeting-{mode}"))
        environment = {"ONEDNN_MAX_CPU_ISA": limit} if limit else {}
        steps = TorchSteps(task, options.torch_steps if slow else options.steps, SLOW_WARM_UP if slow else TORCH_WARM_UP,
                           options.limit, self.log(name, settings), environment)
        return Contender(name, settings, precision, options.threads, steps)

    def lineup(
        self, settings: Settings, multiply: str, *, name: str = "Lineup", path: str = "", ranks: int = 1
    ) -> Contender:
        """Lineup on its own choice of a kernel path, or on `path`."""
        options, chosen = self.options, path or self.paths[0]
        name = f"{name} {multiply} ({chosen})" + (f", {sizes(ranks, options.threads)}" if ranks > 1 else "")
        environment: Mapping[str, str] = {"LINEUP_KERNELS": path} if path else {}
        steps = LineupSteps(options.lineup, self.data, settings, multiply, options.batch, options.each,
                            options.threads // ranks, ranks, options.steps, options.limit, self.folder / "lineup",
                            self.log(name, settings), environment)
        # On AMX an exact product is several of bfloat16.
        arithmetic = "bfloat16" if multiply == "bfloat16" or chosen == "amx" else "float32"
        return Contender(name, settings, arithmetic, options.threads, steps)

    def log(self, name: str, settings: Settings) -> Path:
        words = [settings["model.head"], *name.replace("(", "").replace(")", "").replace(",", "").split()]
        return self.logs / ("-".join(words).replace("×", "x") + ".log")


def speed(title: str, subject: Contender, rivals: list[Contender], target: float | None = None) -> Comparison:
    return Comparison(title, subject.name, names(rivals), target)


def names(contenders: list[Contender]) -> tuple[str, ...]:
    return tuple(contender.name for contender in contenders)


def sizes(ranks: int, threads: int) -> str:
    """"2 × 1": processes and the threads of each."""
    return f"{ranks} × {threads // ranks}"
