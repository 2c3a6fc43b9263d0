"""PyTorch's side: worker processes that stay alive over all turns and sleep while others take theirs."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import processes
from contender import Failed

WORKER = Path(__file__).with_name("torch_worker.py")


@dataclass(frozen=True)
class Task:
    """What one worker trains, as it is told."""

    values: Mapping[str, Any]  # of the settings, by dotted key
    precision: str  # "float32", or "bfloat16" by autocast
    mode: str  # "eager" or "compile"
    batch: int  # over all ranks
    each: int
    identities: int
    threads: int  # of one rank
    rank: int = 0
    ranks: int = 1
    meeting: str = ""  # a file in which the ranks find each other


@dataclass
class TorchSteps:
    """Steps of `task` in a process, or in several with DistributedDataParallel, each on cores of its own."""

    task: Task
    steps: int
    warm_up: tuple[int, int]  # steps before those that are timed, in the first turn and in later ones
    limit: float  # seconds a step
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    peak: int = 0
    software: str = ""
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def turn(self, index: int) -> list[float]:
        """Starts the workers in the first turn."""
        if not self.workers:
            self.start()
        warm_up = self.warm_up[0 if index == 0 else 1]
        return [self.step() for _ in range(warm_up + self.steps)][warm_up:]

    def start(self) -> None:
        """Starts the workers and waits until their models are made."""
        cores = sorted(os.sched_getaffinity(0))[: self.task.threads * self.task.ranks]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.task.threads), **self.environment}
        if self.task.ranks > 1:
            environment["GLOO_SOCKET_IFNAME"] = "lo"
        for rank in range(self.task.ranks):
            told = json.dumps(asdict(replace(self.task, rank=rank)))
            mine = cores[rank * self.task.threads : (rank + 1) * self.task.threads]
            command = [sys.executable, str(WORKER), told]
            self.workers.append(processes.start(command, environment, self.log, talks=True, cores=mine))
        self.software = self.replies()[0]["software"]

    def step(self) -> float:
        """Seconds of one step, of the slowest rank."""
        for worker in self.workers:
            assert worker.stdin
            try:
                worker.stdin.write("step\n")
            except BrokenPipeError:
                pass  # the reply says why
        replies = self.replies()
        self.peak = max(self.peak, sum(reply["peak"] for reply in replies))
        return max(reply["seconds"] for reply in replies)

    def replies(self) -> list[dict[str, Any]]:
        """One line of each worker, by rank. The first that fails speaks for all: the others are left waiting for it."""
        found: dict[int, dict[str, Any]] = {}
        deadline = time.monotonic() + self.limit
        with selectors.DefaultSelector() as selector:
            for rank, worker in enumerate(self.workers):
                assert worker.stdout
                selector.register(worker.stdout, selectors.EVENT_READ, rank)
            while len(found) < len(self.workers):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise Failed(f"no answer within {self.limit:g} s")
                for key, _ in ready:
                    rank = key.data
                    line = self.workers[rank].stdout.readline()  # type: ignore[union-attr]
                    if not line:
                        raise Failed(processes.reason(self.workers[rank].wait(), self.log))
                    found[rank] = json.loads(line)
                    if "failure" in found[rank]:
                        raise Failed(found[rank]["failure"])
                    selector.unregister(key.fileobj)
        return [found[rank] for rank in range(len(self.workers))]

    def close(self) -> None:
        """Ends the workers."""
        while self.workers:
            processes.stop(self.workers.pop())
