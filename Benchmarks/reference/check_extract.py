"""Checks `lineup extract` against PyTorch: what images are retrieved by, from a checkpoint, in evaluation.

Running statistics in place of a batch's, no masks, and the descriptors of all heads that are retrieved by, one after the other:
an embedding, or with BNNeck the normalized feature. With `evaluation.flip`, the mean of an image's and its mirror image's.
Features are written in float32, so in float64 a row may be as far from PyTorch's as that rounds.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

import parts
import settings as configuration
import sweep
from check_curve import training_classes
from comparison import Report, relative
from images import generate, load_pixels, write_rows
from model import ReIDNetwork, load
from runner import run, workspace
from settings import Settings

LIMIT = 1e-7
CASES = {
    "the paper's head": [],
    "flip": ["evaluation.flip=true"],
    **{name: parts.TRUNKS[name] for name in ("ibn-a, resnet18", "se, resnet18", "pixelChannel", "osnet", "osnetAin")},
    **{name: parts.HEADS[name] for name in ("max", "gem", "stripe", "channels of levels, gem", "bnneck with shift")},
    **{name: parts.ATTENTION[name] for name in ("bam, osnet", "atac, ibn-a", "dgdm, often, ibn-a, resnet18")},
    **{name: parts.HEADS[name] for name in ("topRows of levels, pool attention",)},
    **{name: parts.WEIGHTS[name] for name in ("aligned",)},
    "three heads, two retrieved by": parts.HEADS["camera, every part"],
}


def descriptors(settings: Settings, weights: str, classes: list[int], images: Tensor) -> Tensor:
    """PyTorch's, from a safetensors file."""
    model = ReIDNetwork(settings, *classes).double().eval()
    load(model, weights)

    def pass_once(pixels: Tensor) -> Tensor:
        outputs, _ = model(pixels)
        return torch.cat([output.descriptor for output in outputs if output.descriptor is not None], dim=1)

    with torch.no_grad():
        found = pass_once(images)
        return (found + pass_once(images.flip(3))) / 2 if settings["evaluation.flip"] else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--steps", type=int, default=3, help="of the training before")
    parser.add_argument("--ranks", default="1", help="comma-separated; those above 1 run under mpirun")
    parser.add_argument("--only", default="", help="the cases whose name has this in it")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    report = Report()
    with workspace(options.work) as folder:
        data = folder / "data"
        run(options.lineup, ["synthesize", "--output", str(data)])
        classes = [len(known) for known in training_classes(data).values()]
        for index, (name, chosen) in enumerate(CASES.items()):
            if options.only not in name:
                continue
            settings = configuration.resolve(options.config, sweep.SMALL + chosen + options.set)
            output, listing, features = (folder / f"{index}{end}" for end in ("-run", "-images.csv", ".npy"))
            rows = generate(folder, 3, 3, settings["input.height"], settings["input.width"], seed=index)
            write_rows(listing, rows)
            said = settings.lineup_arguments(precision__storage="float64", schedule__maxSteps=options.steps)
            run(options.lineup, ["train", "--data", str(data), "--output", str(output), *said])
            weights = str(max(output.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime))
            pixels = load_pixels([row.path for row in rows], settings["input.height"], settings["input.width"])
            expected = descriptors(settings, weights, classes, pixels)
            for ranks in (int(text) for text in options.ranks.split(",")):
                features.unlink(missing_ok=True)
                arguments = ["extract", "--checkpoint", str(output), "--images", str(listing), "--output", str(features)]
                run(options.lineup, arguments + settings.lineup_arguments(precision__storage="float64"), ranks)
                error = relative(torch.from_numpy(np.load(features)).double(), expected)
                detail = f"{tuple(expected.shape)}, relative L2 {error:.2e} (limit {LIMIT:.0e})"
                report.check(f"{name}{f', {ranks} ranks' if ranks > 1 else ''}", error <= LIMIT, detail, width=42)
    report.finish()


if __name__ == "__main__":
    main()
