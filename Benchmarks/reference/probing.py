"""One step of Lineup and of PyTorch from the same weights on the same images: what the checks of `probe` compare."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from comparison import Report, read_probe
from images import Row, classes_of, load_pixels, write_rows
from losses import Step
from model import ReIDNetwork
from runner import run
from settings import Settings
from yardstick import reference_step


class Bench:
    """Images, weights and settings, and the steps of both sides on them. PyTorch's are computed once."""

    def __init__(
        self, binary: str, settings: Settings, rows: list[Row], folder: Path, weights: str | None, disturb: bool = False
    ) -> None:
        """A fresh network of Lineup's where `weights` is None; `disturb` moves what such a network has at 0 and 1."""
        self.binary = binary
        self.settings = settings
        self.folder = folder
        self.listing = folder / "images.csv"
        write_rows(self.listing, rows)
        self.labels = {"identity": classes_of([row.identity for row in rows]),
                       "camera": classes_of([row.camera for row in rows]),
                       "part": torch.zeros(len(rows), dtype=torch.int64)}  # all whole
        self.weights = weights or str(folder / "weights.safetensors")
        if not weights:
            identities, cameras = (len(set(self.labels[kind].tolist())) for kind in ("identity", "camera"))
            fresh = ["probe", "--initialize", self.weights, "--identities", str(identities)]
            run(binary, fresh + settings.lineup_arguments())
            torch.manual_seed(2)
            fit(self.weights, ReIDNetwork(settings, identities, cameras))
            if disturb:
                disturb_fresh(self.weights)
        self.images = load_pixels([row.path for row in rows], settings["input.height"], settings["input.width"])
        self.references: dict[tuple[str, bool], Step] = {}

    def reference(self, precision: str, plain: bool = False) -> Step:
        """PyTorch's step; `plain` without MSGR."""
        key = (precision, plain)
        if key not in self.references:
            settings = self.settings.with_values(msgr__lambda=0.0) if plain else self.settings
            self.references[key] = reference_step(settings, self.weights, self.images, self.labels, precision)
        return self.references[key]

    def probe(self, report: Report, precision: str, ranks: int = 1, plain: bool = False) -> Step:
        """Lineup's step; `plain` without MSGR."""
        output = self.folder / f"probe-{precision}-{ranks}{'-plain' if plain else ''}.safetensors"
        output.unlink(missing_ok=True)
        extra = {"msgr__lambda": 0.0} if plain else {}
        arguments = ["probe", "--weights", self.weights, "--images", str(self.listing), "--output", str(output)]
        run(self.binary, arguments + self.settings.lineup_arguments(precision__storage=precision, **extra), ranks)
        return check_file(report, output, self.reference("float64", plain), precision)


def fit(path: str, model: ReIDNetwork) -> None:
    """Gives tensors of another number of classes the model's: a fresh network of Lineup's has one camera."""
    tensors, wanted = load_file(path), model.state_dict()
    few = {name for name in tensors.keys() & wanted.keys() if tensors[name].shape != wanted[name].shape}
    tensors.update({name: wanted[name].clone() for name in few})
    if few:
        save_file(tensors, path)


def disturb_fresh(path: str) -> None:
    """Adds noise to biases, scales, shifts and classifiers, so that no term vanishes only because the network is fresh."""
    generator = torch.Generator().manual_seed(1)
    tensors = load_file(path)
    for name in sorted(tensors):
        vector = tensors[name].dim() == 1 and not name.endswith(("running_mean", "running_var"))
        if vector or name.endswith("classifier.weight"):
            tensors[name] += 0.1 * torch.randn(tensors[name].shape, generator=generator)
    save_file(tensors, path)


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
    coarse = types - ({torch.float64} if precision == "float64" else {torch.float64, torch.float32})
    if coarse:
        report.check("stored as", False, f"{sorted(str(kind) for kind in coarse)}: coarser than the step's sums")
    return lineup
