"""Processes of contenders: started out of the terminal's reach, and ended with everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from contender import Failed

PATIENCE = 10.0  # seconds to end after a SIGTERM; mpirun takes its ranks with it


def start(
    command: Sequence[str], environment: dict[str, str], log: Path, *, talks: bool = False,
    cores: Sequence[int] | None = None
) -> subprocess.Popen[str]:
    """Starts a command as a session of its own, on `cores` alone where given; what it says is added to `log`.

    One that `talks` is written to and read from line by line, and says only on stderr what is for the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pipe: int | None = subprocess.PIPE if talks else subprocess.DEVNULL
    with log.open("a") as said:
        try:
            return subprocess.Popen(
                command, env=environment, stdin=pipe, stdout=subprocess.PIPE if talks else said, stderr=said, text=True,
                bufsize=1, start_new_session=True, preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None)
        except FileNotFoundError as error:
            raise Failed(f"{error.filename}: not found") from None


def stop(process: subprocess.Popen[str]) -> None:
    """Ends a process and all others of its session's group."""
    pipes: list[IO[str] | None] = [process.stdin, process.stdout]
    for pipe in pipes:
        if pipe:
            pipe.close()
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def reason(code: int, log: Path) -> str:
    """Why a process ended with `code`, in one line, from the end of its log."""
    if code == -signal.SIGKILL or code == 128 + signal.SIGKILL:
        return "killed (out of memory?)"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip(" -*\t")]
    # A crash's reason stands above a long backtrace, and a rank's above mpirun's own account of it.
    telling = [line for line in lines if "Fatal error" in line or line.startswith("lineup: ")] or lines
    return f"exit code {code}: {telling[-1] if telling else 'it said nothing'}"
