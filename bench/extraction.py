"""HTML to text: how much of what people would read is kept, and how fast, for each method.

    python bench/extraction.py DATA [--methods trafilatura resiliparse]

DATA is the folder with `html/` and `pretrain/` of the shared data. Prints a line a method: precision, recall and F1 on
the article extraction benchmark, F1 on readability's test pages, the share of the words of ten books that are kept in
order, and pages a second on one core (article benchmark, text already read from disk).

The F1 is that of scrapinghub's article-extraction-benchmark: of multisets of runs of four words; precision and recall
are means over pages, F1 is taken from the two means. For the pages of readability the text is that of `expected_html`.
None of the methods was set up on these pages: their settings are what their libraries call main text without comments,
links, forms and images' texts.
"""

import argparse
import io
import json
import re
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import zstandard

from groundup.corpus.extract._base import METHODS, Extractor, everything

WORD = re.compile(r"\w+")
RUN = 4
ARTICLES = 181
# Where a book and what is taken from it part, they are looked for together again within so many words.
AHEAD = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", nargs="+", default=["trafilatura", "resiliparse"])
    args = parser.parse_args()
    print(f"{'method':<12} {'precision':>9} {'recall':>7} {'F1':>7} {'readability':>11} {'books':>8} {'pages/s':>8}")
    for name in args.methods:
        text = method(name)
        precision, recall, f1 = article_scores(args.data, text)
        seconds = article_seconds(args.data, text)
        readability, kept = readability_scores(args.data, text)[2], books_kept(args.data, text)
        rate = ARTICLES / seconds
        print(f"{name:<12} {precision:9.4f} {recall:7.4f} {f1:7.4f} {readability:11.4f} {kept:8.5f} {rate:8.1f}")


def method(name: str) -> Callable[[bytes], str]:
    """The extraction of that name, from the bytes of a page to its text."""
    extractor = METHODS.read(name)
    assert isinstance(extractor, Extractor)
    return extractor.text


def article_scores(data: Path, text: Callable[[bytes], str]) -> tuple[float, float, float]:
    """Precision, recall and F1 on the article extraction benchmark."""
    pages = rows(data / "html" / "article_extraction_benchmark.jsonl.zst")
    return scores((page["articleBody"], text(page["html"].encode())) for page in pages)


def article_seconds(data: Path, text: Callable[[bytes], str]) -> float:
    """CPU seconds that the pages of the article extraction benchmark take, scoring left out."""
    pages = [page["html"].encode() for page in rows(data / "html" / "article_extraction_benchmark.jsonl.zst")]
    start = time.process_time()
    for page in pages:
        text(page)
    return time.process_time() - start


def readability_scores(data: Path, text: Callable[[bytes], str]) -> tuple[float, float, float]:
    """Precision, recall and F1 against the text of what readability's own tests expect."""
    pages = rows(data / "html" / "readability_test_pages.jsonl.zst")
    return scores((everything(page["expected_html"]), text(page["html"].encode())) for page in pages)


def books_kept(data: Path, text: Callable[[bytes], str]) -> float:
    """The share of the words of ten books that are found in order in what is taken from their raw XHTML."""
    expected = {row["id"]: row["text"] for row in rows(data / "pretrain" / "books_standardebooks.jsonl.zst")}
    kept = total = 0
    for name, page in members(data / "html" / "standardebooks_raw_xhtml.tar.zst"):
        words = WORD.findall(expected.get(name.removesuffix(".xhtml"), ""))
        kept += in_order(words, WORD.findall(text(page))) if words else 0
        total += len(words)
    return kept / total


def scores(pairs: Iterable[tuple[str, str]]) -> tuple[float, float, float]:
    """Precision, recall and F1 of pairs (expected, found).

    >>> scores([("a b c d e", "a b c d x")])
    (0.5, 0.5, 0.5)
    """
    precisions, recalls = [], []
    for expected, found in pairs:
        true, said = runs(expected), runs(found)
        both = (true & said).total()
        if said:
            precisions.append(both / said.total())
        if true:
            recalls.append(both / true.total())
    precision, recall = mean(precisions), mean(recalls)
    return precision, recall, 2 * precision * recall / (precision + recall)


def runs(text: str) -> Counter[tuple[str, ...]]:
    """The runs of four words of a text; the whole text where it has fewer."""
    words = WORD.findall(text)
    return Counter(run for at in range(max(1, len(words) - RUN + 1)) if (run := tuple(words[at : at + RUN])))


def in_order(words: list[str], found: list[str]) -> int:
    """How many of the words are found in order; where the two part, both go on at the next three words they share.

    >>> in_order("a b c d e f".split(), "a x c d e f".split())
    5
    """
    at = to = count = 0
    while at < len(words) and to < len(found):
        if words[at] == found[to]:
            at, to, count = at + 1, to + 1, count + 1
            continue
        shared = ((skip, total - skip) for total in range(1, AHEAD) for skip in range(total + 1))
        step = next((step for step in shared if is_met(words, at + step[0], found, to + step[1])), (AHEAD, AHEAD))
        at, to = at + step[0], to + step[1]
    return count


def is_met(words: list[str], at: int, found: list[str], to: int) -> bool:
    """Whether the next three words (fewer at the end) are the same."""
    return at < len(words) and words[at : at + 3] == found[to : to + 3]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a packed JSONL file."""
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a packed archive."""
    with zstandard.open(path, "rb") as packed, tarfile.open(fileobj=io.BufferedReader(packed), mode="r|") as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield member.name, file.read()


if __name__ == "__main__":
    main()
