"""What the page is made of, without a browser: documents by the page, markup of tokens, how a run goes, open models."""

import asyncio
import base64
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

pytest.importorskip("nicegui", reason="needs the packages of groundup[ui]")

from dialogue.speaker import babbler, dialogue
from groundup.corpus.conversation import Message
from groundup.errors import StoreError
from groundup.infer.inside import Place
from groundup.report.gather import gather
from groundup.serve.http import create_app
from groundup.serve.page import watch
from groundup.serve.page.picture import picture
from groundup.serve.page.pool import MOST_OPEN, Pool
from groundup.serve.page.shelf import MOST_LETTERS, Shelf
from groundup.serve.page.tokens import Words, pieces, surprise


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Two files of 25 documents in row groups of 10; every third is of source b."""
    for file in range(2):
        numbers = range(25 * file, 25 * file + 25)
        rows = {
            "id": [f"doc{n:02d}" for n in numbers],
            "source": ["b" if n % 3 == 0 else "a" for n in numbers],
            "text": [f"text {n} " * (5000 if n == 30 else 1) for n in numbers],
        }
        parquet.write_table(pa.table(rows), tmp_path / f"{file:05d}.parquet", row_group_size=10)
    return Shelf(tmp_path)


def test_documents_come_by_the_page_and_by_value(shelf: Shelf) -> None:
    assert shelf.n_documents == 50 and shelf.values("source") == {"a": 33, "b": 17}
    seen = [row["id"] for start in range(0, 50, 7) for _, row in shelf.leaf(start, 7, {}).rows]
    assert seen == [f"doc{n:02d}" for n in range(50)]
    of_b = shelf.leaf(5, 4, {"source": "b"})
    assert of_b.total == 17 and [row["id"] for _, row in of_b.rows] == ["doc15", "doc18", "doc21", "doc24"]
    assert all("text" not in row for _, row in of_b.rows)
    assert shelf.text(of_b.rows[-1][0]) == ("text 24 ", False)
    (spot, _) = shelf.leaf(30, 1, {}).rows[0]
    text, cut = shelf.text(spot)
    assert cut and len(text) == MOST_LETTERS


def test_a_picture_holds_the_matrix() -> None:
    values = np.array([[0.0, 1.0, 0.5], [0.25, 0.0, 1.0]])
    data = base64.b64decode(picture(values).partition(",")[2])
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (3, 2)
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    rows = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + length]), np.uint8).reshape(2, 7)
    assert np.array_equal(rows[:, 2::2], (values * 255).astype(np.uint8)) and not rows[:, 0].any()


def test_tokens_cannot_become_markup() -> None:
    words = Words([b"<b>", b'"x"', b"\xff", b" a\n", b""], {4: "<|end|>"})
    told = surprise(words, 4, [Place(0, 3.0, 2, 1.0, ((1, 0.5), (2, 0.25)))]) + pieces(words, [0, 1, 2, 3])
    assert "<b>" not in told and '"x"' not in told
    assert "&lt;b&gt;" in told and "&lt;|end|&gt;" in told and "⟨ff⟩" in told and "·a⏎<br>" in told


def test_how_a_run_goes_is_read_from_its_files(place: Path, tmp_path: Path) -> None:
    run = gather(place / "runs" / "tiny")
    rows = watch.numbers(run, "pretrain")
    assert rows[-1]["bits"] == pytest.approx(
        rows[-1]["loss"] / np.log(2) / run.fact("tokenizer", "bytes_per_token"), rel=1e-6
    )
    assert watch.stage_of(run) == "grpo" and watch.last_step(run, "pretrain") == 6
    assert watch.seconds_left(run, "pretrain", rows) == 0.0
    assert watch.seconds_left(run, "pretrain", rows[:3]) == pytest.approx(3 * rows[2]["seconds"] / 3)
    assert [title for title, *_ in watch.curves([run], "pretrain")][:2] == ["Loss", "Bits per byte"]
    assert next(names for _, names, _ in watch.curves([run, run], "pretrain")) == ["tiny", "tiny"]
    assert watch.events(run, "pretrain", rows)[0][:2] == ("checkpoint", "6")
    assert watch.holder(run.root) is None


def test_a_spike_is_what_stands_out() -> None:
    rows = [{"step": step, "loss": 3.0 + 0.01 * (step % 5)} for step in range(200)]
    assert watch.spikes(rows) == []
    rows[150]["loss"] = rows[151]["loss"] = 9.0
    assert watch.spikes(rows) == [150]


def test_the_pool_keeps_few_models_open_and_none_that_is_used_is_closed(tmp_path: Path) -> None:
    artifacts = tmp_path / "run" / "artifacts"
    current = {}
    for stage in ("a", "b", "c", "d", "e", "f"):
        (artifacts / f"{stage}-{stage}1").mkdir(parents=True)
        facts = {"kind": stage, "fingerprint": f"{stage}1", "parents": []}
        (artifacts / f"{stage}-{stage}1" / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
        current[stage] = f"{stage}1"
    (tmp_path / "run" / "current.json").write_text(json.dumps(current), encoding="utf-8")
    app = create_app({})
    opened: list[str] = []

    def open_model(run: str, stage: str) -> object:
        opened.append(stage)
        return dialogue(babbler(), rows=1)

    async def use() -> None:
        pool = Pool(app, tmp_path, open_model)  # type: ignore[arg-type]
        async with pool.use("run", "a") as kept:
            for stage in "bcdef":
                async with pool.use("run", stage) as model:
                    assert model.dialogue.room((Message("user", "Hi"),)) > 0
            assert len(app.state.models) == MOST_OPEN and app.state.models["run/a"] is kept
            async with pool.use("run", "a") as again:
                assert again is kept
            with pytest.raises(StoreError, match="its nothing stage is not done"):
                async with pool.use("run", "nothing"):
                    pass
        for model in app.state.models.values():
            model.stop()

    asyncio.run(use())
    assert opened == [*"abcdef"]
