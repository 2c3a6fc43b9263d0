"""Runs Lineup's commands, under mpirun where more than one rank is asked for."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workspace(keep: str | None) -> Iterator[Path]:
    """A folder for files in between: `keep`, created where needed, or a temporary one."""
    if keep:
        Path(keep).mkdir(parents=True, exist_ok=True)
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory(prefix="lineup-reference-") as folder:
        yield Path(folder)


def mpi_environment() -> dict[str, str]:
    """This process's environment, and what mpirun needs to run as root (in a container)."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"} if os.geteuid() == 0 else {}
    return {**os.environ, **root}


def run(binary: str, arguments: list[str], ranks: int = 1) -> None:
    """One command; ends this program with the command's own words where it fails."""
    command, environment = [str(Path(binary).absolute()), *arguments], mpi_environment()
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--bind-to", "none", *command]
        environment["OMPI_MCA_rmaps_base_oversubscribe"] = "true"  # MPICH's mpirun does so unasked
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SystemExit(f"{error.filename}: not found") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        # A crash's reason stands above a long backtrace.
        reasons = [line for line in lines if "Fatal error" in line or "runtime failure: " in line][:1] or lines[-8:]
        said = "\n".join(reasons)
        raise SystemExit(f"exit code {done.returncode} of: {' '.join(command)}\n{said}")
