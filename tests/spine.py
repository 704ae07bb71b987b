"""The whole way at its smallest: a folder of text, a fixed recipe that takes seconds, and the real command line."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from groundup.store import Store

ROOT = Path(__file__).parents[1]

RECIPE = """
precision = "fp32"
[corpus.held_out]
fraction = 0.15
[tokenizer]
vocab_size = 400
[model]
layers = 1
dim = 32
heads = 2
length = 128
[train]
steps = 6
rows = 4
warmup = 1
save_steps = 2
[sft]
steps = 4
rows = 4
warmup = 1
conversations = 60
arithmetic = 40
probe_steps = 2
save_steps = 1
[grpo]
steps = 2
rows = 8
group = 4
max_tokens = 8
save_steps = 1
[grpo.optim]
name = "adamw"
lr = 0.01
decay = 0.5
[eval]
arithmetic = 8
passages = 4
functions = 0
"""
"""Fixed: every timed stage has its `steps`, so the clock is never looked at. So little training earns no reward, so the
decay is what moves the weights in grpo."""

SYLLABLES = (
    "ba",
    "cor",
    "den",
    "fi",
    "gal",
    "hem",
    "il",
    "jo",
    "kar",
    "lin",
    "mo",
    "nel",
    "or",
    "pa",
    "ri",
    "sto",
    "tu",
)
WORDS = [first + second + third for first in SYLLABLES for second in SYLLABLES for third in ("", "n", "ra")]
"""About nine hundred words that no language has: few of them are often used, most of them seldom."""


def write_text(folder: Path, documents: int = 24, sentences: int = 45, seed: int = 1) -> Path:
    """A folder of made-up prose, about 3 kB a document, of which none repeats itself enough to be filtered out."""
    random = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(documents):
        lines = [f"# Of {random.choice(WORDS)} and {random.choice(WORDS)}", ""]
        for sentence in range(sentences):
            words = [WORDS[int(len(WORDS) * random.random() ** 2)] for _ in range(random.randrange(6, 14))]
            lines += [" ".join(words).capitalize() + ".", *([""] if sentence % 6 == 5 else [])]
        (folder / f"book{number:02d}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_bad_files(folder: Path) -> None:
    """Files that cannot be read, or not to their end, among those that can."""
    good = "A line that anyone can read, about the harbour and the people who work there in winter."
    (folder / "bad_binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "bad_photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (folder / "bad_bytes.txt").write_bytes(b"Caf\xe9 and \xff\xfe no UTF-8, " + good.encode() * 3)
    (folder / "bad_torn.txt.gz").write_bytes(gzip.compress((good * 400).encode(), 0)[:9000])
    rows = [json.dumps({"text": f"{number}: {good}"}) for number in range(4)]
    (folder / "bad_lines.jsonl").write_text("\n".join([*rows[:2], '{"text": "cut of', *rows[2:]]), encoding="utf-8")


def write_recipe(folder: Path) -> Path:
    """The smallest fixed recipe, as a file."""
    path = folder / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """What a command of a test sees: one thread, so that workers do not stand in each other's way."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


def start(*words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """`groundup WORDS` in a process of its own, begun; its runs are in `cwd`/runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "groundup", *map(str, words)],
        cwd=cwd, env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def groundup(*words: str | Path, cwd: Path, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """`groundup WORDS`, done. Fails the test where the exit status is another than `status` (None: any)."""
    with start(*words, cwd=cwd) as process:
        try:
            output, errors = process.communicate()
        finally:
            process.kill()
    assert status is None or process.returncode == status, f"{process.returncode}\n{output}\n{errors}"
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def as_json(*words: str | Path, cwd: Path) -> Any:
    """What `groundup WORDS --json` prints."""
    return json.loads(groundup(*words, "--json", cwd=cwd).stdout)


def weights_of(run: Path) -> dict[str, str]:
    """Stage of training -> the sha256 of the weights that it left."""
    facts = Store(run).facts()
    return {stage: facts[stage]["weights_sha256"] for stage in ("pretrain", "sft", "grpo")}
