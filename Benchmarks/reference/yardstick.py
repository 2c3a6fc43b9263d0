"""How far PyTorch's own float32 and float16 and bfloat16 gradients are from its float64 gradient, in one step."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

import settings as configuration
from comparison import cosine, relative, whole
from losses import Labels, Step, step
from model import ReIDNetwork, initialize, load
from settings import Settings


def reference_step(
    settings: Settings, weights: str | int, images: Tensor, labels: Labels, precision: str
) -> Step:
    """One step of PyTorch from a safetensors file or a seed: `float64`, `float32`, `float16`, `bfloat16`.

    `images` are float64 and rounded to float32 for all but the first.
    """
    model = ReIDNetwork(settings, *(int(labels[kind].max()) + 1 for kind in ("identity", "camera")))
    kind = torch.float64 if precision == "float64" else torch.float32
    if isinstance(weights, int):
        initialize(model, weights)
        model.to(kind)
    else:
        load(model.to(kind), weights)
    reduced = None if precision in ("float64", "float32") else getattr(torch, precision)
    return step(model, images.to(kind), labels, settings, reduced)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    configuration.add_arguments(parser)
    parser.add_argument("--identities", type=int, default=4)
    parser.add_argument("--images", type=int, default=4, help="of each identity")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precisions", default="float32,float16,bfloat16")
    options = parser.parse_args()
    settings = configuration.resolve(options.config, options.set)
    torch.manual_seed(options.seed + 1000)
    batch = options.identities * options.images
    images = torch.randn(batch, 3, settings["input.height"], settings["input.width"], dtype=torch.float64)
    labels = {"identity": torch.arange(options.identities).repeat_interleave(options.images),
              "camera": torch.arange(batch) % 2}
    exact = reference_step(settings, options.seed, images, labels, "float64")
    names = list(exact.gradients)
    print(f"float64   loss {float(exact.losses['total']):.6f}  ‖gradient‖ {whole(exact.gradients, names).norm():.4e}")
    for precision in options.precisions.split(","):
        other = reference_step(settings, options.seed, images, labels, precision)
        a, b = whole(other.gradients, names), whole(exact.gradients, names)
        embedding = relative(other.outputs["embedding"], exact.outputs["embedding"])
        print(
            f"{precision:9} loss {float(other.losses['total']):.6f}  gradient: relative L2 {relative(a, b):.4e}"
            f"  cosine {cosine(a, b):.5f}  embedding: relative L2 {embedding:.2e}", flush=True
        )


if __name__ == "__main__":
    main()
