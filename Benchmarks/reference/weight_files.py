"""Writes the small files of weights that tests and the fuzzer read, as PyTorch and ONNX write them.

    python weight_files.py FOLDER      # Tests/FuzzingTests/Corpus: pth/ and onnx/

Every file of PyTorch holds the same: a transposed view, a view with an offset, and tensors of several types, in nested containers
and beside objects that a reader must not make.
"""

from __future__ import annotations

import argparse
import collections
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper


def contents() -> dict[str, object]:
    flat = torch.arange(24, dtype=torch.float32) / 4
    state = collections.OrderedDict()
    state["module.conv1.weight"] = torch.arange(12, dtype=torch.float32).view(3, 4).t()
    state["module.bn1.weight"] = flat[5:9]
    state["module.bn1.bias"] = flat.view(4, 6)[1:3, ::2]
    state["module.bn1.num_batches_tracked"] = torch.tensor(7)
    state["double"] = torch.tensor([[1e-300, -2.5]], dtype=torch.float64)
    state["half"] = torch.tensor([0.5, -65504.0], dtype=torch.float16)
    state["brain"] = torch.tensor([1.5, -3e38], dtype=torch.bfloat16)
    state["parameter"] = torch.nn.Parameter(torch.tensor([3.0]))
    state["empty"] = torch.zeros(0, 3)
    return {
        "epoch": 12,
        "state_dict": state,
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=3e-4, names=["a", "b"]),
        "history": [(1, 0.5, None, True), (2, -0.25, 1 << 80, False)],
    }


def models() -> dict[str, bytes]:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    raw = onnx.numpy_helper.from_array(weight, "conv1.weight")
    typed = helper.make_tensor("bn1.weight", TensorProto.FLOAT, [3], [1.0, -2.5, 0.25])
    half = helper.make_tensor("half", TensorProto.FLOAT16, [2], [0.5, -2.0])
    whole = onnx.numpy_helper.from_array(np.array([-1, 1 << 40]), "shape")
    bits = helper.make_tensor("bytes", TensorProto.INT8, [2], [-3, 4])
    double = helper.make_tensor("double", TensorProto.DOUBLE, [1], [1e-300])
    node = helper.make_node("MatMul", ["x", "conv1.weight"], ["y"])
    graph = helper.make_graph(
        [node], "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])], [raw, typed, half, whole, bits, double])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return {"tiny.onnx": model.SerializeToString()}


def deflated(archive: bytes) -> bytes:
    """The same entries, compressed, as other writers of zip archives leave them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return out.getvalue()


def main() -> None:
    folder = Path(sys.argv[1])
    files: dict[str, bytes] = {}
    for name, arguments in {
        "zip.pth": {},
        "protocol4.pth": {"pickle_protocol": 4},
        "legacy.pth": {"_use_new_zipfile_serialization": False},
        "legacy4.pth": {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
    }.items():
        out = io.BytesIO()
        torch.save(contents(), out, **arguments)
        files[f"pth/{name}"] = out.getvalue()
    files["pth/deflated.pth"] = deflated(files["pth/zip.pth"])
    files |= {f"onnx/{name}": data for name, data in models().items()}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"{path} {len(data)}")


if __name__ == "__main__":
    main()
