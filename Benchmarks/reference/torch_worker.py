"""One process of PyTorch's side of the benchmark: a training step for every line on stdin, a JSON object for each on stdout.

`python torch_worker.py TASK`, the task in JSON (`Task`); `torch_contender.py` starts it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time

import torch
from torch import nn

from adaptive import AdaptiveL2
from losses import objective
from model import ReIDNetwork, initialize
from settings import Settings
from torch_contender import Task


class TorchStep:
    """A model, its Adam and one batch of noise, ready to be stepped and timed."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.settings = Settings(dict(task.values))
        model = ReIDNetwork(self.settings, task.identities)
        initialize(model, 0)
        network: nn.Module = model.to(memory_format=torch.channels_last).train()
        self.adaptive = AdaptiveL2(model, self.settings)
        self.adam = self.adaptive.adam(self.settings, lr=3.5e-4, fused=True)
        if task.ranks > 1:
            torch.distributed.init_process_group(
                "gloo", init_method=f"file://{task.meeting}", rank=task.rank, world_size=task.ranks)
            network = nn.parallel.DistributedDataParallel(network)
        self.network = torch.compile(network) if task.mode == "compile" else network
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=task.precision == "bfloat16")
        share = task.batch // task.ranks
        torch.manual_seed(task.rank)
        shape = (share, 3, self.settings["input.height"], self.settings["input.width"])
        self.images = torch.randn(shape).to(memory_format=torch.channels_last)
        classes = torch.arange(task.batch // task.each).repeat_interleave(task.each)
        self.labels = {"identity": classes[task.rank * share : (task.rank + 1) * share]}

    def seconds(self) -> float:
        """Of one step: forward, losses, backward, Adam."""
        start = time.perf_counter()
        with self.autocast:
            loss = objective(self.network, self.images, self.labels, self.settings, self.adaptive)[0]
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        return time.perf_counter() - start


def peak() -> int:
    """Bytes that this process has had resident at most."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def software() -> str:
    """PyTorch's version and that of its oneDNN."""
    found = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
    return f"PyTorch {torch.__version__}, oneDNN {found.group(1) if found else 'none'}"


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # compilers print, too
    try:
        step = TorchStep(task)
        print(json.dumps({"software": software()}), file=replies)
        for _ in sys.stdin:
            seconds = step.seconds()
            print(json.dumps({"seconds": seconds, "peak": peak()}), file=replies)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        failure = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
        print(json.dumps({"failure": failure}), file=replies)
        raise


if __name__ == "__main__":
    main()
