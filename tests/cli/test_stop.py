"""Ctrl-C and SIGTERM: the stage saves, the command says so and ends with 130, and the next one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import psutil
import pytest

from groundup.store import Store
from spine import environment, groundup, start, write_recipe, write_text

LONG = ("train.steps=100000", "train.save_steps=100000")


def stop(run: Path, step: int, number: signal.Signals, *words: str) -> None:
    """Start the command, and signal it when pretraining has logged `step`."""
    log = run / "metrics" / "pretrain.jsonl"
    with start("run", "tiny", *words, cwd=run.parents[1]) as process:
        while process.poll() is None:
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
            if lines and json.loads(lines[-1])["step"] >= step:
                process.send_signal(number)
                break
            time.sleep(0.01)
        _, errors = process.communicate()
        assert process.returncode == 130, errors
        assert "stopped; nothing is lost: the same command goes on from here" in errors
        assert "Traceback" not in errors


def saved(run: Path) -> int:
    """The step of the newest checkpoint of the unfinished pretraining."""
    return max(int(path.name[5:]) for path in (run / "scratch").glob("pretrain-*/train/step-*"))


def test_ctrl_c_and_sigterm_save_first(own: Path) -> None:
    run = own / "runs" / "tiny"
    before = Store(run).current()
    (run / "metrics" / "pretrain.jsonl").unlink()
    stop(run, 3, signal.SIGINT, *LONG)
    first = saved(run)
    assert first >= 3
    assert Store(run).current() == before, "what was finished is kept until something takes its place"
    stop(run, first + 3, signal.SIGTERM)
    assert saved(run) > first
    notices = (run / "metrics" / "notices.jsonl").read_text(encoding="utf-8")
    assert f"pretrain: going on from step {first:,}" in notices
    steps = [json.loads(line)["step"] for line in (run / "metrics" / "pretrain.jsonl").read_text().splitlines()]
    assert steps == list(range(1, saved(run) + 1)), "every step is logged once"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ctrl_c_at_random_moments_leaves_no_process_and_no_traceback(tmp_path: Path) -> None:
    """To the whole process group, as a terminal sends it: the workers of the corpus too."""
    recipe, text, random = write_recipe(tmp_path), write_text(tmp_path / "text"), Random(3)
    words = ["run", str(recipe), "--data", str(text), "--name", "tiny"]
    python = [sys.executable, "-m", "groundup"]
    for _ in range(8):
        with subprocess.Popen(
            [*python, *words], cwd=tmp_path, env=environment(), text=True, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            time.sleep(1.0 + 8 * random.random())
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate()
        # Where the signal hits the text that `dataclass` or `namedtuple` executes, CPython itself ends the process by
        # the signal after all (its _Py_UnhandledKeyboardInterrupt); a shell reports both as 130.
        assert process.returncode in (0, 130, -signal.SIGINT), errors
        assert "Traceback" not in errors
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    groundup(*words, cwd=tmp_path)
    assert len(Store(tmp_path / "runs" / "tiny").current()) == 8
