"""A finished timed run that is given minutes again is taken up before its decay, not begun anew."""

from pathlib import Path

import pytest

from groundup.report.gather import gather
from groundup.store import Store
from spine import RECIPE, groundup, write_text

MINUTES = 1.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_minutes_on_a_finished_run_go_on_before_its_decay(tmp_path: Path) -> None:
    """Timed pretraining; the steps of the other stages are fixed, so that it gets nearly all of the minutes."""
    text = write_text(tmp_path / "text")
    (tmp_path / "timed.toml").write_text(RECIPE.replace("steps = 6\n", ""), encoding="utf-8")
    words = ("run", "timed.toml", "--data", str(text), "--name", "tiny", "--minutes", str(MINUTES))
    groundup(*words, cwd=tmp_path)
    run = tmp_path / "runs" / "tiny"
    first = Store(run).current()["pretrain"]
    saved = next((first.path / "before_decay").glob("step-*"))
    decayed_from = int(saved.name.removeprefix("step-"))
    assert 0 < decayed_from < first.facts["steps"]
    groundup("run", "tiny", "--minutes", str(2 * MINUTES), cwd=tmp_path)
    second = Store(run).current()["pretrain"]
    assert second.facts["steps"] > first.facts["steps"]
    assert second.facts["tokens"] * first.facts["steps"] == first.facts["tokens"] * second.facts["steps"]
    notices = (run / "metrics" / "notices.jsonl").read_text(encoding="utf-8")
    assert f"pretrain: taken up before its decay, at step {decayed_from:,}" in notices
    rows = gather(run).metrics("pretrain")
    assert [row["step"] for row in rows] == list(range(1, second.facts["steps"] + 1))
    rates = {row["step"]: row["lr"] for row in rows}
    assert rates[decayed_from + 2] == max(rates.values()), "the rate had not fallen yet where it went on"
    assert {name for name, artifact in Store(run).current().items() if artifact.created < second.created} == {
        "corpus", "tokenizer", "tokens",
    }  # fmt: skip
    assert "nothing to do" in groundup("run", "tiny", cwd=tmp_path).stdout
