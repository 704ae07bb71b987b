"""A whole command of anyone's, by the clock: from its start to its end, or to a line that it prints or writes.

Settings: `command`, `folder` to run it in, `environment`; `until`, a pattern in what it prints; `file`, a file whose
first line ends the clock; `told`, a pattern whose last match's first group is kept as `told`; `fresh`, a folder that is
put in place of `folder` before each round.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Nothing is kept between rounds."""
    folder = Path(settings["folder"])

    def turn() -> dict[str, Any]:
        if settings.get("fresh"):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(settings["fresh"], folder)
        environment = {**os.environ, **settings.get("environment", {})}
        start = time.perf_counter()
        process = subprocess.Popen(
            settings["command"], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, seconds = follow(process, settings, start)
        told = re.findall(settings["told"], said) if settings.get("told") else []
        return {"value": seconds, "told": float(told[-1]) if told else None}

    return turn


def follow(process: "subprocess.Popen[str]", settings: dict[str, Any], start: float) -> tuple[str, float]:
    """What the command said, and the seconds to the sign that is waited for. Raises RuntimeError when none came."""
    assert process.stdout is not None
    said, seconds = "", None
    if settings.get("file"):
        seconds = _written(Path(settings["folder"]) / settings["file"], process, start)
    elif settings.get("until"):
        for line in process.stdout:
            said += line
            if re.search(settings["until"], line):
                seconds = time.perf_counter() - start
                break
    if settings.get("file") or settings.get("until"):
        process.terminate()
        said += process.communicate()[0]
    else:
        said = process.communicate()[0]
        seconds = time.perf_counter() - start if process.returncode == 0 else None
    if seconds is None:
        raise RuntimeError(f"{settings['command']} ended with {process.returncode}: {said[-2000:]}")
    return said, seconds


def _written(path: Path, process: "subprocess.Popen[str]", start: float) -> float | None:
    while process.poll() is None or path.exists():
        if path.exists() and path.stat().st_size:
            return time.perf_counter() - start
        time.sleep(0.005)
    return None


if __name__ == "__main__":
    play(prepare)
