"""The convolutions that `lineup benchmark --json FILE` measured, through PyTorch, and both sides in one table.

PyTorch runs the convolution alone: Lineup's forward also normalizes and rectifies what it reads and takes the next norm's
sums, its data gradient passes the norm above and the ReLU below, its weight gradient reads both. The three passes are
`conv2d` and `convolution_backward` for the data and for the weights, channels-last, in float32 and in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PASSES = {"forward": "forward", "backwardData": "backward data", "backwardWeights": "backward weights"}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Seconds that a timing takes at least: a clock reading of less says little.
SHORTEST = 0.005


def median(run: Callable[[], Any], repetitions: int) -> float:
    """Seconds of a call, after one or more to warm up."""

    def seconds(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    run()  # oneDNN compiles its kernel
    calls = max(1, round(SHORTEST / max(seconds(1), 1e-6)))
    return statistics.median(seconds(calls) for _ in range(repetitions))


def passes(shape: dict[str, Any], images: int, kind: torch.dtype) -> dict[str, Callable[[], Any]]:
    """The calls of each pass of a convolution, on noise."""

    def noise(*size: int) -> Tensor:
        return torch.randn(size).to(kind).to(memory_format=torch.channels_last)

    stride, padding = [shape["stride"]] * 2, [shape["padding"]] * 2
    x = noise(images, shape["inputs"], shape["height"], shape["width"])
    weight = noise(shape["outputs"], shape["inputs"], shape["kernel"], shape["kernel"])

    def forward() -> Tensor:
        return torch.nn.functional.conv2d(x, weight, None, stride, padding)

    y_bar = noise(*forward().shape)

    def backward(mask: list[bool]) -> Any:
        return torch.ops.aten.convolution_backward(
            y_bar, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, mask)

    return {"forward": forward, "backwardData": lambda: backward([True, False, False]),
            "backwardWeights": lambda: backward([False, True, False])}


def measure(report: dict[str, Any], repetitions: int) -> list[dict[str, dict[str, float]]]:
    """PyTorch's seconds by precision and pass, for each convolution of the report; only of passes that it has."""
    rows: list[dict[str, dict[str, float]]] = []
    for convolution in report["convolutions"]:
        rows.append({})
        for precision, kind in PRECISIONS.items():
            calls = passes(convolution["shape"], report["images"], kind)
            rows[-1][precision] = {
                name: median(call, repetitions) for name, call in calls.items() if convolution[name] is not None}
    return rows


def line(*cells: str) -> None:
    """A row of a markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def compare(name: str, count: str, kind: str, operations: float, lineup: dict[str, Any],
            seconds: dict[str, float]) -> None:
    """A row: both sides' GFLOP/s for so many operations, and how many times faster Lineup is."""
    rates = [f"{operations / seconds[precision] / 1e9:.1f}" for precision in PRECISIONS]
    ratios = [f"{seconds[precision] / lineup['seconds']:.2f}" for precision in PRECISIONS]
    line(name, count, kind, f"{lineup['gflops']:.1f}", f"{100 * lineup['share']:.1f} %", *rates, *ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="what `lineup benchmark --json` wrote, on this machine")
    parser.add_argument("--repetitions", type=int, default=5, help="timings of each pass, of which the median counts")
    options = parser.parse_args()
    report = json.loads(options.report.read_text())
    if options.repetitions < 1:
        parser.error("--repetitions must be 1 or more")
    torch.manual_seed(0)
    torch.set_num_threads(report["cores"])
    with torch.inference_mode():
        rows = measure(report, options.repetitions)

    peaks, names = report["peaks"], list(PRECISIONS)
    print(f"Lineup: {report['path']}, multiply {report['multiply']}, storage {report['storage']}; PyTorch "
          f"{torch.__version__.split('+')[0]}; {report['cores']} threads, {report['images']} images")
    fast = f"{peaks['bfloat16']:.1f}" if peaks["bfloat16"] is not None else "none"
    print(f"Peaks of a core in GFLOP/s: float32 {peaks['float32']:.1f}, bfloat16 {fast}. Copy: {peaks['copy']:.1f} GB/s.\n")
    heads = ["convolution", "count", "pass", "Lineup GFLOP/s", "of the peak"]
    heads += [f"PyTorch {name}" for name in names] + [f"Lineup / {name}" for name in names]
    line(*heads)
    line(*["---"] * 3, *["---:"] * (len(heads) - 3))
    sums = {key: dict.fromkeys(names, 0.0) for key in (*PASSES, "all")}
    for convolution, measured in zip(report["convolutions"], rows):
        shape, count = convolution["shape"], convolution["count"]
        stride = f" /{shape['stride']}" if shape["stride"] > 1 else ""
        name = (f"{shape['height']}×{shape['width']} {shape['inputs']} → {shape['outputs']} "
                f"{shape['kernel']}×{shape['kernel']}{stride}")
        for key, title in PASSES.items():
            if convolution[key] is None:
                continue
            seconds = {precision: measured[precision][key] for precision in names}
            compare(name, str(count), title, 2 * convolution[key]["multiplyAdds"], convolution[key], seconds)
            for precision in names:
                sums[key][precision] += count * seconds[precision]
                sums["all"][precision] += count * seconds[precision]
    everything = str(sum(convolution["count"] for convolution in report["convolutions"]))
    for key, title in {**PASSES, "all": "all"}.items():
        total = report["total"][key]
        compare("a step, by time", everything, title, 2 * total["multiplyAdds"], total, sums[key])


if __name__ == "__main__":
    main()
