"""Times `lineup score` beside the evaluators of torchreid and fast-reid on made-up features of Market-1501's size.

Clones of both are needed; their Cython parts are used where they have been built (`python setup.py build_ext --inplace` in
`rank_cylib`). Every contender is a process of its own, one after the other, and what is counted is its CPU time, which other users
of the machine change little: of the peers, distances and ranking, features being in memory; of Lineup, all, files read, both metrics.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from images import Row, write_rows
from runner import workspace

QUERIES, GALLERY, IDENTITIES, CAMERAS = 3368, 15913, 751, 6
DISTRACTORS = 0.17  # of the gallery
PEERS = {"torchreid": "torchreid/metrics", "fastreid": "fastreid/evaluation"}


def generate(folder: Path, length: int) -> None:
    """Clusters with distractors, whose mAP is neither 0 nor 1: q.npy and g.npy with their lists."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(IDENTITIES, length))
    for name, count, share in (("q", QUERIES, 0.0), ("g", GALLERY, DISTRACTORS)):
        identities = generator.integers(1, IDENTITIES, count)
        identities[generator.random(count) < share] = 0
        cameras = generator.integers(1, CAMERAS + 1, count)
        own = np.where((identities > 0)[:, None], centres[identities], 0)
        features = own + np.sqrt(length / 128) * generator.normal(size=(count, length))
        np.save(folder / f"{name}.npy", features.astype(np.float32))
        rows = [Row(f"{name}{k}.jpg", int(i), int(c)) for k, (i, c) in enumerate(zip(identities, cameras))]
        write_rows(folder / f"{name}.csv", rows)


def load(folder: Path, name: str) -> tuple[np.ndarray[Any, Any], ...]:
    """Features, identities, cameras."""
    labels = np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1, usecols=(1, 2), dtype=np.int64)
    return np.load(folder / f"{name}.npy"), labels[:, 0], labels[:, 1]


def module(path: Path, tool: str) -> Any:
    """A peer's `rank.py` alone: the package around it imports much else."""
    for name, folder in (("peer", path), ("peer.rank_cylib", path / "rank_cylib")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    if tool == "torchreid":  # which names itself in full
        for name in ("torchreid", "torchreid.metrics", "torchreid.metrics.rank_cylib"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["torchreid.metrics.rank_cylib.rank_cy"] = importlib.import_module("peer.rank_cylib.rank_cy")
    return importlib.import_module("peer.rank")


def rank(tool: str, path: Path, folder: Path, cython: bool) -> dict[str, float]:
    """One peer's figures, in this process."""
    warnings.simplefilter("ignore")
    found = module(path, tool)
    (q, qi, qc), (g, gi, gc) = load(folder, "q"), load(folder, "g")
    before = resource.getrusage(resource.RUSAGE_SELF)
    a, b = torch.from_numpy(q), torch.from_numpy(g)
    if tool == "torchreid":
        matrix = a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1, keepdim=True).t()
        matrix = matrix.addmm_(a, b.t(), beta=1, alpha=-2)
        cmc, mean = found.evaluate_rank(matrix.numpy(), qi, gi, qc, gc, max_rank=50, use_cython=cython)
    else:
        matrix = 1 - F.normalize(a) @ F.normalize(b).t()
        cmc, precisions, _ = found.evaluate_rank(matrix.numpy(), qi, gi, qc, gc, use_cython=cython)
        mean = float(np.mean(precisions))
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"mAP": float(mean), "rank1": float(cmc[0]), "seconds": seconds, "peak": after.ru_maxrss / 1024}


def lineup(binary: str, folder: Path) -> dict[str, float]:
    """Lineup's figures; it computes those by the other metric too."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    arguments = ["score", "--query", "q.npy", "--gallery", "g.npy", "--json", "scores.json"]
    # Through peak.py, which is small: what a process has resident before it becomes the command counts, too.
    command = [sys.executable, str(Path(__file__).with_name("peak.py").absolute()), ".", str(Path(binary).absolute())]
    subprocess.run(command + arguments, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = max(int(file.read_text()) for file in folder.iterdir() if file.name.isdecimal()) / 2**20
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    scores = json.loads((folder / "scores.json").read_text())
    return {"mAP": scores["mAP"], "rank1": scores["rank1"], "seconds": seconds, "peak": peak, "wall": wall}


def show(name: str, found: dict[str, float]) -> None:
    print(f"{name:20} mAP {100 * found['mAP']:6.2f} %  rank-1 {100 * found['rank1']:6.2f} %  "
          f"{found['seconds']:6.1f} CPU s  peak {found['peak']:6.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    for tool in PEERS:
        parser.add_argument(f"--{tool}", type=Path, help=f"a clone of {tool}")
    parser.add_argument("--length", type=int, default=512, help="of features")
    parser.add_argument("--python", action="store_true", help="their evaluators in Python too, which take a minute")
    parser.add_argument("--work", help="keep the files here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        tool, kind = options.child.split("-")
        found = rank(tool, getattr(options, tool) / PEERS[tool], Path(options.work), kind == "cython")
        print(json.dumps(found))
        return
    with workspace(options.work) as folder:
        generate(folder, options.length)
        found = lineup(options.lineup, folder)
        show("lineup", found)
        print(f"{'':20} {found['wall']:.1f} s in all")
        for tool in PEERS:
            for kind in ("cython", "python") if options.python else ("cython",):
                if path := getattr(options, tool):
                    command = [sys.executable, __file__, "--lineup", options.lineup, f"--{tool}", str(path)]
                    command += ["--work", str(folder), "--child", f"{tool}-{kind}"]
                    run = subprocess.run(command, check=True, capture_output=True, text=True)
                    show(f"{tool}, {kind}", json.loads(run.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
