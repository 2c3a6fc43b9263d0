"""The Python module beside the command: `python check_library.py --lineup BINARY --checkpoint RUN --images FOLDER`.

Features of FOLDER's images from Python/lineup.py, of files, of a list of arrays and of one array, are those of `lineup extract` to the
last bit; wrong input is one line.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Python"))
import lineup  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    for name in ("--lineup", "--checkpoint", "--images"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/features.npy"
        subprocess.run(
            [options.lineup, "extract", "--checkpoint", options.checkpoint, "--images", options.images, "--output", file],
            check=True, stdout=subprocess.DEVNULL,
        )
        expected = np.load(file)
        with open(f"{folder}/features.csv") as labels:
            paths = [row["path"] for row in csv.DictReader(labels)]
    paths = [p if Path(p).exists() else str(Path(options.images) / p) for p in paths]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    with lineup.Model(options.checkpoint) as model:
        found = {"files": model.embed_files(paths), "list": model.embed(images)}
        if len({image.shape for image in images}) == 1:
            found["array"] = model.embed(np.stack(images))
        for what, features in found.items():
            assert np.array_equal(features, expected), what
            print(f"{what}: {features.shape[0]} × {features.shape[1]}, the bits of lineup extract")
        for wrong in (lambda: model.embed(images[0]), lambda: model.embed_files(["none.jpg"]), lambda: lineup.Model("none")):
            try:
                wrong()
            except lineup.Error as error:
                print(f"refused: {error}")
            else:
                raise AssertionError("wrong input was taken")


main()
