"""`groundup serve` as a process of its own, and the curl lines of the documentation."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from spine import ROOT, start

LINES = re.findall(
    r"^curl .*?(?<!\\)$", (ROOT / "docs" / "serve.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


@contextmanager
def served(place: Path, *words: str | Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`groundup serve tiny` on a free port: its address, and the process."""
    with start("serve", "tiny", "--port", "0", *words, cwd=place) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert told.startswith("serving tiny at http://127.0.0.1:"), told
            yield told.split()[-1].removesuffix("/v1"), process
        finally:
            process.kill()


def test_the_documented_lines_work_and_sigterm_lets_a_reply_end(place: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    assert len(LINES) > 5
    with served(place) as (root, process):
        for line in LINES:
            command = line.replace("http://localhost:8000", root).replace("mine", "tiny")
            said = subprocess.run(["bash", "-c", f"{command} --fail-with-body"], capture_output=True, text=True)
            assert said.returncode == 0, command + said.stdout
            assert "error" not in said.stdout
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 90}
        with httpx.stream("POST", f"{root}/v1/chat/completions", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: {")
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{root}/health")
        assert process.stderr is not None
        log = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert {entry["event"] for entry in log} == {"request"}


def test_a_key_file_guards_the_door(place: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    key.write_text("right\n", encoding="utf-8")
    with served(place, "--api-key-file", key) as (root, process):
        assert httpx.get(f"{root}/v1/models").status_code == 401
        answer = httpx.get(f"{root}/v1/models", headers={"authorization": "Bearer right"})
        assert [model["id"] for model in answer.json()["data"]] == ["tiny"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    "words, told",
    [
        (("--host", "0.0.0.0"), "--host 0.0.0.0 can be reached from elsewhere; give a key"),
        (("--api-key-file", "none.txt"), "--api-key-file none.txt: "),
        (("--port", "99999"), "--port 99999: "),
    ],
)
def test_what_cannot_be_served_is_told(place: Path, words: tuple[str, ...], told: str) -> None:
    with start("serve", "tiny", *words, cwd=place) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and told in errors and "Traceback" not in errors
