"""Writes a safetensors file as PyTorch's torch.save would: `python as_pth.py IN.safetensors OUT.pth`. Needs neither PyTorch nor more than NumPy.

The file is the zip archive of torch.save since 1.6: a pickle of an OrderedDict whose tensors are calls of
torch._utils._rebuild_tensor_v2 on storages, which are files of their own.
"""

import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np


def read(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).astype("<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def fake(module, name):
    """Something that a pickle refers to as module.name."""
    parent = sys.modules.setdefault(module, types.ModuleType(module))
    found = type(name, (), {"__module__": module, "__qualname__": name})
    setattr(parent, name, found)
    return found


FloatStorage, rebuild = fake("torch", "FloatStorage"), fake("torch._utils", "_rebuild_tensor_v2")


class Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class Tensor:
    def __init__(self, key, values):
        self.key, self.values = key, values

    def __reduce__(self):
        shape = self.values.shape
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        return rebuild, (Storage(self.key, self.values.size), 0, shape, strides, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return ("storage", FloatStorage, value.key, "cpu", value.count) if isinstance(value, Storage) else None


def main():
    tensors = read(sys.argv[1])
    with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_STORED) as archive:
        with archive.open("archive/data.pkl", "w") as file:
            keyed = OrderedDict((name, Tensor(str(i), values)) for i, (name, values) in enumerate(tensors.items()))
            Pickler(file, protocol=2).dump(keyed)
        for i, values in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", values.tobytes())
        archive.writestr("archive/version", "3\n")


main()
