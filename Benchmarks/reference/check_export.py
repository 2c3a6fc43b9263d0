"""An exported ONNX model beside the network that it was exported from, in the programs that run such models.

    python check_export.py --lineup BINARY --checkpoint RUN --images FOLDER

exports the checkpoint, extracts FOLDER's features with Lineup in float32 and float16, and prints the largest cosine distance between
them and what ONNX Runtime, OpenVINO and BoxMOT's ONNX backend (as far as they are installed: onnx, onnxruntime, openvino, boxmot) make of
the same images. Images are resized by Pillow's bilinear filter, as Lineup does.
"""

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

LIMITS = {"float32": 1e-5, "float16": 1e-3}


def lineup(binary, *arguments):
    subprocess.run([binary, *arguments], check=True, stdout=subprocess.DEVNULL)


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def pixels(paths, height, width):
    """N×3×H×W of 0…255, RGB."""
    images = [Image.open(path).convert("RGB").resize((width, height), Image.BILINEAR) for path in paths]
    return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in images])


def normalized(images):
    mean, deviation = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (images / 255 - mean) / deviation


def onnxruntime(path, images):
    import onnx
    import onnxruntime as runtime

    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def openvino(path, images):
    from openvino import Core

    # In float32, as elsewhere: some machines would round to bfloat16 on their own.
    model = Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(model([images]).values()))


def boxmot(path, images):
    import torch
    from boxmot.reid.backends.onnx_backend import ONNXBackend

    backend = ONNXBackend(Path(path), device="cpu", half=False)
    return np.asarray(backend.forward(torch.from_numpy(images)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lineup", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=256, help="of images to compare, the first of the folder")
    parser.add_argument("--storage", nargs="+", choices=LIMITS, default=list(LIMITS), help="of Lineup's features")
    options = parser.parse_args()

    failed = False
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for normalization in ("outside", "inside"):
            # BoxMOT looks for a known architecture in the file's name.
            models[normalization] = f"{folder}/{normalization}/resnet50_lineup.onnx"
            Path(models[normalization]).parent.mkdir()
            lineup(options.lineup, "export", "--checkpoint", options.checkpoint, "--output", models[normalization],
                   "--normalization", normalization)
        import onnx

        properties = {p.key: p.value for p in onnx.load(models["outside"]).metadata_props}
        features = {}
        for storage in options.storage:
            file = f"{folder}/{storage}.npy"
            lineup(options.lineup, "extract", "--checkpoint", options.checkpoint, "--images", options.images, "--output", file,
                   "--set", f"precision.storage={storage}", "--set", "precision.multiply=exact", "--set", "precision.convolution=direct")
            features[storage] = unit(np.load(file)[: options.count])
        with open(f"{folder}/{options.storage[0]}.csv") as labels:
            paths = [row["path"] for row in csv.DictReader(labels)][: options.count]
        paths = [p if Path(p).exists() else str(Path(options.images) / p) for p in paths]
        raw = pixels(paths, int(properties["input.height"]), int(properties["input.width"]))

        for name, run in (("onnxruntime", onnxruntime), ("openvino", openvino), ("boxmot", boxmot)):
            for normalization, images in (("outside", normalized(raw)), ("inside", raw)):
                if name == "boxmot" and normalization == "inside":
                    continue  # it normalizes itself
                try:
                    found = unit(run(models[normalization], images))
                except ImportError as missing:
                    print(f"{name}: not installed ({missing.name})")
                    break
                for storage in options.storage:
                    limit = LIMITS[storage]
                    distance = float((1 - (found * features[storage]).sum(axis=1)).max())
                    failed |= not distance <= limit
                    print(f"{name:12} normalized {normalization:7} beside Lineup in {storage}: {distance:.1e}"
                          f"{'' if distance <= limit else f', above {limit:g}'}")
    raise SystemExit(failed)


main()
