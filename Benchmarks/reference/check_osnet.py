"""Checks that OSNet's weights are read by torchreid's names: a state dict of random values, written here, then extracted from.

The state dict has what a published one has beside the trunk (an embedding `fc.*`, `classifier.*`, `num_batches_tracked`).
Lineup begins a run with it (`model.weights`), learns nothing in one step (the learning rate is 0 up to rounding), and is
compared through what its checkpoint holds: every tensor of the trunk has to be the file's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

import osnet
from comparison import Report
from runner import run, workspace
from trunk import scaled

WIDTHS = (0.25, 0.5, 0.75, 1.0)
# Lineup keeps parameters of float16 training in float32; a step at the least learning rate moves them by about that.
LIMIT = 1e-5


class Published(nn.Module):
    """A whole network by the published names."""

    def __init__(self, width: float, adaptive: bool) -> None:
        super().__init__()
        osnet.members(self, lambda full: scaled(full, width), adaptive, lambda block, channels: None,
                      lambda block, y: y, lambda stage, channels: None)
        features = scaled(512, width)
        self.fc = nn.Sequential(nn.Linear(features, 512), nn.BatchNorm1d(512), nn.ReLU())
        self.classifier = nn.Linear(512, 1000)


def random_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and running statistics that no initialization makes; variances are positive."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "running_var" in name else 0.3 * torch.randn_like(tensor))
    return {f"module.{name}": tensor.clone() for name, tensor in model.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    report = Report()
    torch.manual_seed(0)
    with workspace(options.work) as folder:
        data = folder / "data"
        run(options.lineup, ["synthesize", "--output", str(data), "--identities", "16", "--images", "2", "--cameras", "2"])
        for adaptive in (False, True):
            for width in WIDTHS:
                name = f"{'osnetAin' if adaptive else 'osnet'}, width {width}"
                check(report, name, options.lineup, Path(folder), data, width, adaptive)
    report.finish()


def check(report: Report, name: str, binary: str, folder: Path, data: Path, width: float, adaptive: bool) -> None:
    """One size of one network."""
    state = random_state(Published(width, adaptive))
    weights, output = folder / f"{name}.safetensors", folder / name
    save_file(state, weights)
    settings = {
        "model.trunk": "osnetAin" if adaptive else "osnet", "model.width": width, "model.head": "baseline",
        "model.weights": weights, "input.height": 64, "input.width": 32, "sampling.identities": 4, "sampling.images": 2,
        "schedule.maxSteps": 1, "optimizer.learningRate": 1e-9, "optimizer.weightDecay": 0, "evaluation.everyEpochs": 0,
        "precision.storage": "float32", "threads": 1,
    }
    said = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run(binary, ["train", "--data", str(data), "--output", str(output), *said])
    found = load_file(max(output.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime))
    trunk = {key.removeprefix("module."): value for key, value in state.items()
             if not key.removeprefix("module.").startswith(("fc.", "classifier.")) and "num_batches" not in key}
    theirs = {key for key in found if not key.startswith(("neck.", "classifier."))}
    report.check(f"{name}: names", theirs == trunk.keys(), f"{len(theirs ^ trunk.keys())} differ of {len(trunk)}")
    learned = [key for key in trunk if "running_" not in key and key in found]
    worst = max((found[key].flatten() - trunk[key].flatten()).abs().max().item() for key in learned)
    report.check(f"{name}: values", worst <= LIMIT, f"largest difference {worst:.1e} of {len(learned)} tensors")


if __name__ == "__main__":
    main()
