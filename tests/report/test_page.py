"""The page: self-contained, safe with any text, whole for any run that stands anywhere on its way."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from groundup.report.gather import gather
from groundup.report.lineage import drawing
from groundup.report.page import MOMENTS, figures, moments, page, shares, write
from report.example_run import FACTS, build

VOID = {"meta", "link", "br", "path", "circle"}


class Tags(HTMLParser):
    """Reads a page and complains of tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def test_the_page_holds_every_part(finished: Path) -> None:
    text = page(gather(finished))
    read(text)
    for part in ("results", "conversation", "compression", "plots", "samples", "making"):
        assert f'<section id="{part}">' in text
    assert text.count('<svg class="chart"') == 6
    assert "92.3 to 96.3 %" in text
    assert "PPMd, primed with the training text" in text
    assert "42&gt;17, 12-7=5, 4-1-1=2, so -25" in text
    assert "command line" in text


def test_the_page_asks_for_nothing_outside(finished: Path) -> None:
    text = page(gather(finished))
    for tag, attributes in read(text).seen:
        assert tag not in {"script", "img", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "action"):
            assert attributes.get(name, "data:,").startswith("data:")
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_light_and_dark_come_from_the_page_alone(finished: Path) -> None:
    text = page(gather(finished))
    assert "prefers-color-scheme: dark" in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert drawings
    assert not any(re.search(r'#[0-9a-f]{3,6}|fill="|stroke="', svg) for svg in drawings)
    style = text.partition("<style>")[2].partition("</style>")[0]
    light, dark = (
        set(re.findall(r"(--[\w-]+): #", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    assert light == dark
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= light | {"--sans", "--serif", "--mono", "--row"}


def test_texts_of_a_model_are_texts(finished: Path) -> None:
    evil = '<script>alert("x")</script>'
    path = next((finished / "artifacts").glob("eval-*/manifest.json"))
    manifest = json.loads(path.read_text())
    manifest["facts"]["conversation"][1]["content"] = evil
    manifest["facts"]["samples"][0]["reply"] = evil
    path.write_text(json.dumps(manifest))
    (finished / "metrics" / "samples.jsonl").write_text(
        json.dumps({"stage": evil, "step": 1, "prompt": evil, "text": evil})
    )
    text = page(gather(finished))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 5


@pytest.mark.parametrize("n_stages", range(len(FACTS) + 1))
def test_a_run_on_its_way_has_a_page(tmp_path: Path, n_stages: int) -> None:
    root = build(tmp_path, "half", list(FACTS)[:n_stages])
    text = page(gather(root))
    read(text)
    assert ('<section id="results">' in text) == (n_stages == len(FACTS))


def test_artifacts_without_a_single_fact_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in FACTS:
        monkeypatch.setitem(FACTS, stage, {})
    read(page(gather(build(tmp_path, "bare", list(FACTS)))))


def test_an_empty_folder_has_a_page(tmp_path: Path) -> None:
    read(page(gather(tmp_path)))


def test_the_same_run_gives_the_same_page(finished: Path, tmp_path: Path) -> None:
    write(finished, tmp_path / "one.html")
    write(finished, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_charts_come_from_the_metrics(finished: Path) -> None:
    drawn = {figure.title: figure for figure in figures(gather(finished))}
    assert list(drawn["Learning to answer (SFT)"].names) == ["training", "held out"]
    assert str(drawn["Learning to answer (SFT)"].svg).count("<circle") == 6
    (finished / "metrics" / "pretrain.jsonl").unlink()
    assert [figure.title for figure in figures(gather(finished))] == [
        "Learning to answer (SFT)",
        "Reinforcement (GRPO)",
    ]


def test_moments_are_spread_from_first_to_last() -> None:
    rows = [{"stage": "pretrain", "step": step, "text": ""} for step in range(1, 41) for _ in range(2)]
    found = moments(rows)
    assert len(found) == MOMENTS
    assert all(len(moment) == 2 for moment in found)
    assert (found[0][0]["step"], found[-1][0]["step"]) == (1, 40)


def test_shares_of_time_make_a_whole(finished: Path) -> None:
    assert sum(entry.part for entry in shares(gather(finished))) == pytest.approx(1.0)


def test_the_lineage_draws_an_edge_for_each_parent(finished: Path) -> None:
    run = gather(finished)
    n_parents = sum(len(artifact.parents) for artifact in run.artifacts.values())
    assert drawing(run).count('class="edge"') == n_parents
    assert drawing(run).count('class="node"') == len(FACTS)
