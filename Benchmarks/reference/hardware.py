"""The machine that a benchmark ran on: what it is, and what `lineup benchmark` finds it can do at most."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_fp16")
PATIENCE = 600.0  # seconds


@dataclass(frozen=True)
class Machine:
    """A description in words and numbers."""

    cpu: str
    cores: int  # of this process's affinity mask
    instructions: list[str]  # those of `INSTRUCTIONS` that it has
    memory: float  # GiB
    system: str
    virtual: bool


def describe() -> Machine:
    """Of this machine, from /proc."""
    information: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        information.setdefault(key.strip(), value.strip())
    flags = information.get("flags", information.get("Features", "")).split()
    kibibytes = Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    model = information.get("model name", platform.machine())
    if "cpu family" in information:  # virtual machines often have no model name worth its name
        model += f" (family {information['cpu family']}, model {information['model']})"
    return Machine(model, len(os.sched_getaffinity(0)), [name for name in INSTRUCTIONS if name in flags],
                   int(kibibytes) / 2**20, f"{platform.system()} {platform.release()}", "hypervisor" in flags)


def load() -> float:
    """Processes that wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def peaks(binary: str, folder: Path, threads: int) -> dict[str, float]:
    """`float32` and `bfloat16` (GFLOP/s of a core while `threads` run) and `copy` (GB/s), where Lineup measures them."""
    report = folder / "peaks.json"
    # They are the machine's: the network that the command goes on to measure may be small.
    values = {"threads": threads, "model.width": 0.125, "input.height": 64, "input.width": 32}
    small = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    command = [binary, "benchmark", "--json", str(report), "--repetitions", "1", *small]
    try:
        subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
        found = json.loads(report.read_text())["peaks"]
        return {name: float(value) for name, value in found.items() if value is not None}
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
