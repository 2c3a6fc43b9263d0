"""Trains a configuration with PyTorch for a given time, from PyTorch's own initialization, and judges it by the data's test images.

The rival of `lineup train --config scratch` at equal wall-clock: bfloat16 autocast or float32, whichever is faster here, channels
last, fused Adam, images decoded once and kept in memory, augmented in uint8. How many epochs fit is measured before the first one;
the cosine schedule ends with them. On a machine that others use, where that speed means little, `--epochs` says how many.
Of `optimizer.factors` the trunk's on the learning rate is applied.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

import settings as configuration
from adaptive import AdaptiveL2
from images import DEVIATION, MEAN, classes_of
from losses import objective
from model import ReIDNetwork
from ranking import Samples, distances, metrics
from settings import Settings

NAME = re.compile(r"^(-?\d+)_c(\d+)")
PROBE_STEPS = 20  # to learn how long one takes
HEADS = ("pyramid", "fusion", "heads", "neck", "classifier")  # what is not the trunk


@dataclass(frozen=True)
class Images:
    """A folder of Market-1501 names: pixels (n, height, width, 3), identities, cameras."""

    pixels: NDArray[np.uint8]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]


def read(folder: Path, height: int, width: int) -> Images:
    """All images of a folder but junk, resized bilinearly."""
    pixels, identities, cameras = [], [], []
    for path in sorted(folder.iterdir()):
        match = NAME.match(path.name)
        if match is None or match[1] == "-1":
            continue
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels.append(np.asarray(image))
        identities.append(int(match[1]))
        cameras.append(int(match[2]))
    if not pixels:
        raise SystemExit(f"{folder}: no images")
    return Images(np.stack(pixels), np.array(identities), np.array(cameras))


class Augmentation:
    """Crop and mirror as Lineup's keys `data.crop` say, and erasing of a rectangle with the mean colour."""

    KNOWN = {"data.crop", "data.crop.enlarge.factor", "data.crop.enlarge.probability", "data.crop.pad.pixels", "data.erasing"}

    def __init__(self, settings: Settings, folder: Path, generator: np.random.Generator) -> None:
        unknown = {key for key in settings.values if key.startswith("data.")} - self.KNOWN
        if unknown:
            raise SystemExit(f"{sorted(unknown)[0]}: not known here")
        self.height, self.width = settings["input.height"], settings["input.width"]
        self.plain = read(folder, self.height, self.width)
        self.border = settings.values.get("data.crop.pad.pixels", 0)
        self.probability = settings.values.get("data.crop.enlarge.probability", 0.0)
        factor = settings.values.get("data.crop.enlarge.factor", 1.0)
        self.enlarged = read(folder, round(self.height * factor), round(self.width * factor)) if self.probability else self.plain
        self.erasing = settings.values.get("data.erasing", 0.0)
        self.generator = generator

    def __call__(self, index: int) -> NDArray[np.uint8]:
        random, height, width = self.generator, self.height, self.width
        whole = self.plain.pixels[index]
        if self.border:
            whole = np.pad(whole, ((self.border,) * 2, (self.border,) * 2, (0, 0)))
        elif random.random() < self.probability:
            whole = self.enlarged.pixels[index]
        top, left = (int(random.integers(whole.shape[axis] - size + 1)) for axis, size in enumerate((height, width)))
        image = whole[top : top + height, left : left + width]
        if random.random() < 0.5:
            image = image[:, ::-1]
        if random.random() < self.erasing:
            image = self.erased(image.copy())
        return image

    def erased(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Zhong et al., 2020: 2–40 % of the area, height to width 0.3–3.33."""
        for _ in range(100):
            area = self.generator.uniform(0.02, 0.4) * self.height * self.width
            ratio = self.generator.uniform(0.3, 1 / 0.3)
            rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if rows < self.height and columns < self.width:
                top, left = self.generator.integers(self.height - rows + 1), self.generator.integers(self.width - columns + 1)
                image[top : top + rows, left : left + columns] = np.array(MEAN) * 255
                break
        return image


def epoch_of(identities: NDArray[np.int64], p: int, k: int, generator: np.random.Generator) -> list[list[int]]:
    """The batches of the field's RandomIdentitySampler: every image about once."""
    groups: dict[int, list[list[int]]] = {}
    for identity in np.unique(identities):
        own = generator.permutation(np.flatnonzero(identities == identity)).tolist()
        if len(own) < k:
            own = generator.choice(own, k, replace=True).tolist()
        groups[int(identity)] = [own[start : start + k] for start in range(0, len(own) - k + 1, k)]
    batches = []
    while len(groups) >= p:
        chosen = generator.choice(sorted(groups), p, replace=False)
        batches.append([index for identity in chosen for index in groups[int(identity)].pop()])
        groups = {identity: rest for identity, rest in groups.items() if rest}
    return batches


def normalized(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, 3, height, width) in float32, channels last."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    shape = (1, 3, 1, 1)
    images = (images - torch.tensor(MEAN).reshape(shape)) / torch.tensor(DEVIATION).reshape(shape)
    return images.contiguous(memory_format=torch.channels_last)


def judge(model: ReIDNetwork, data: Path, settings: Settings) -> dict[str, float]:
    """mAP and CMC by the cosine of descriptors of the query and test folders."""
    found = []
    model.eval()
    for name in ("query", "bounding_box_test"):
        images = read(data / name, settings["input.height"], settings["input.width"])
        rows = []
        with torch.no_grad():
            for start in range(0, len(images.pixels), 64):
                batch = normalized(images.pixels[start : start + 64])
                passes = [batch, batch.flip(3)] if settings["evaluation.flip"] else [batch]
                rows.append(sum(
                    torch.cat([o.descriptor for o in model(x)[0] if o.descriptor is not None], dim=1) for x in passes))
        found.append(Samples(torch.cat(rows).double().numpy(), images.identities, images.cameras))
    model.train()
    return metrics(distances(found[0].features, found[1].features, "cosine"), *found)


class Training:
    """A model, its Adam and its batches."""

    def __init__(self, settings: Settings, data: Path, seed: int, bfloat16: bool) -> None:
        torch.manual_seed(seed)
        self.settings, self.generator, self.bfloat16 = settings, np.random.default_rng(seed), bfloat16
        self.augmentation = Augmentation(settings, data / "bounding_box_train", self.generator)
        identities = self.augmentation.plain.identities
        self.labels = classes_of(identities.tolist())
        model = ReIDNetwork(settings, len(np.unique(identities)))
        self.model = model.to(memory_format=torch.channels_last).train()
        self.adaptive = AdaptiveL2(model, settings)
        self.adam = self.adaptive.adam(settings, fused=True)
        self.split_trunk(float(settings.values.get("optimizer.factors.trunk.learningRate", 1)))

    def split_trunk(self, factor: float) -> None:
        """Gives the trunk's tensors groups of their own, with this factor on the learning rate."""
        rest = {id(w) for name in HEADS if (part := getattr(self.model, name, None)) is not None for w in part.parameters()}
        rest |= {id(r) for r in self.adaptive.raw.values()}
        for group in list(self.adam.param_groups):
            trunk = [w for w in group["params"] if id(w) not in rest]
            group["params"], group["factor"] = [w for w in group["params"] if id(w) in rest], 1.0
            if trunk:
                self.adam.add_param_group({**group, "params": trunk, "factor": factor})

    def epoch(self) -> list[list[int]]:
        values = self.settings.values
        return epoch_of(
            self.augmentation.plain.identities, values["sampling.identities"], values["sampling.images"], self.generator)

    def step(self, batch: list[int], rate: float) -> float:
        """One step; its loss."""
        images = normalized(np.stack([self.augmentation(index) for index in batch]))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            total, parts, _ = objective(self.model, images, {"identity": self.labels[batch]}, self.settings, self.adaptive)
        self.adam.zero_grad(set_to_none=True)
        total.backward()
        for group in self.adam.param_groups:
            group["lr"] = rate * group["factor"]
        self.adam.step()
        return float(parts["total"].detach())


def seconds_a_step(probe: Training) -> float:
    """The median after five steps that do not count."""
    batches, seconds = probe.epoch(), []
    for batch in batches[: 5 + PROBE_STEPS]:
        start = time.perf_counter()
        probe.step(batch, 1e-6)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[5:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configuration.add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="a data set's folder in the Market-1501 layout")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="the time to train, evaluation and decoding not counted")
    length.add_argument("--epochs", type=int, help="how many epochs, whatever they take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = configuration.resolve(options.config, options.set)

    rates = {bfloat16: seconds_a_step(Training(settings, options.data, options.seed, bfloat16)) for bfloat16 in (True, False)}
    bfloat16 = min(rates, key=lambda key: rates[key])
    a_step = rates[bfloat16]
    training = Training(settings, options.data, options.seed, bfloat16)
    batches = training.epoch()
    wanted = int(options.seconds / (a_step * len(batches))) if options.epochs is None else options.epochs
    epochs = max(1, wanted)
    total = epochs * len(batches)
    print(f"bfloat16 {rates[True]:.3f} s a step, float32 {rates[False]:.3f}; {len(batches[0]) / a_step:.0f} images/s: "
          f"{epochs} epochs of {len(batches)} steps", flush=True)

    peak, warm = float(settings["optimizer.learningRate"]), settings.values.get("schedule.warmupEpochs", 0) * len(batches)
    step, begun, judged = 0, time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        for batch in training.epoch():
            progress = min(1.0, step / total)
            rate = peak * min(1.0, (step + 1) / max(1, warm)) * 0.5 * (1 + math.cos(math.pi * progress))
            loss = training.step(batch, rate)
            step += 1
        if epoch % max(1, epochs // 6) == 0 or epoch == epochs:
            now = time.perf_counter()
            found = judge(training.model, options.data, settings)
            seconds = now - begun - judged
            judged += time.perf_counter() - now
            figures = "  ".join(f"{name} {100 * value:.1f} %" for name, value in found.items())
            print(f"epoch {epoch}/{epochs}  {seconds:.0f} s  loss {loss:.3f}  {figures}", flush=True)


if __name__ == "__main__":
    main()
