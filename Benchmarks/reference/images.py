"""Image lists, pixels as Lineup prepares them without augmentation, and generated pictures to try things on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Row:
    """One line of a `path,identity,camera` file."""

    path: str
    identity: int
    camera: int


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a CSV with or without a header line; relative paths are taken from the file's folder, then here."""
    rows: list[Row] = []
    with open(path, newline="") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if not cells or cells[:2] == ["path", "identity"]:
                continue
            try:
                rows.append(Row(locate(cells[0], Path(path).parent), int(cells[1]), int(cells[2])))
            except (IndexError, ValueError):
                raise SystemExit(f"{path}:{number}: expected path,identity,camera") from None
    if not rows:
        raise SystemExit(f"{path}: no images")
    return rows


def locate(path: str, folder: Path) -> str:
    """An absolute path for one that may be relative to `folder` or to the current directory."""
    beside = folder / path
    return str((beside if beside.exists() else Path(path)).absolute())


def write_rows(path: str | Path, rows: list[Row]) -> None:
    """The rows as a CSV with a header line."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "identity", "camera"])
        writer.writerows([row.path, row.identity, row.camera] for row in rows)


def classes_of(identities: list[int], known: list[int] | None = None) -> Tensor:
    """Class indices: identities in ascending order of their numbers, among `known` where it is given."""
    ordered = {identity: index for index, identity in enumerate(sorted(set(known or identities)))}
    return torch.tensor([ordered[identity] for identity in identities])


def load_pixels(paths: list[str], height: int, width: int) -> Tensor:
    """Normalized pixels (B, 3, height, width) in float64: decoded and turned upright, resized bilinearly in 8 bits where needed."""
    batch = np.empty((len(paths), 3, height, width))
    for index, path in enumerate(paths):
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float64) / 255
        batch[index] = ((pixels - np.array(MEAN)) / np.array(DEVIATION)).transpose(2, 0, 1)
    return torch.from_numpy(batch)


def generate(folder: Path, identities: int, images: int, height: int, width: int, seed: int) -> list[Row]:
    """JPEGs of made-up people, striped in colours of their identity, shifted and noisy, and their rows."""
    generator = np.random.default_rng(seed)
    rows: list[Row] = []
    for identity in range(1, identities + 1):
        colours = generator.uniform(30, 225, size=(8, 3))
        for number in range(images):
            shift = int(generator.integers(0, max(1, height // 8)))
            stripes = colours[((np.arange(height) + shift) * 8 // height) % 8]
            picture = np.repeat(stripes[:, None, :], width, axis=1)
            picture = picture * generator.uniform(0.7, 1.2) + generator.normal(0, 25, size=picture.shape)
            camera = number % 2 + 1
            path = folder / f"{identity:04d}_c{camera}_{number:04d}.jpg"
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=92)
            rows.append(Row(str(path.absolute()), identity, camera))
    return rows
