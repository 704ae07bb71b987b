"""The cleaning half of the corpus engine: how right it is, how fast, and what datatrove makes of the same text.

    python bench/corpus.py DATA [ROW ...] [--megabytes 500] [--workers 2] [--peer PYTHON]

DATA is the folder of shared data (its MANIFEST.md says what is in it). Without row names all are run but `peer`, which
needs the python of an environment with datatrove and spacy. Each row prints one JSON line. `speed` and `everything`
tile books, textbooks and docs with noise to --megabytes and build a corpus of them; `steps` times each step by itself;
`passes` gives the rates of one core that `groundup corpus cost` asks for; `peer` gives both the same 50 MB and the same
rules and counts neither's start.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import tomli_w

from groundup.corpus import refine
from groundup.corpus.classifier import LETTERS, measured
from groundup.corpus.contamination import Index, by_set
from groundup.corpus.crew import crew
from groundup.corpus.dedup import near_pairs
from groundup.corpus.document import Document, Filter
from groundup.corpus.filters._personal import FINDERS, find
from groundup.corpus.filters.language import identify
from groundup.corpus.judge import Batch, judge_batch
from groundup.corpus.minhash import bands, minima, runs
from groundup.corpus.repair import repair
from groundup.corpus.settings import Corpus, Dedup
from groundup.corpus.sources._base import open_specs
from groundup.corpus.spans import prints
from groundup.corpus.streams import chunks
from groundup.corpus.words import folded
from groundup.events import Silent

LARGE = ["en", "zh", "hi", "es", "fr", "ar", "bn", "ru", "pt", "ur", "id", "de", "ja", "mr", "te", "tr", "ta", "vi",
         "ko", "it", "fa", "pl", "uk", "nl", "ro", "th", "hu", "el", "cs", "sv"]  # fmt: skip
KINDS = {"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban",
         "IP_ADDRESS": "ip", "DOMAIN_NAME": "url", "US_SSN": "national_id"}  # fmt: skip
TEXTS = ("books_standardebooks", "textbooks_openstax", "docs_markup")
PEER_BYTES = 50_000_000
PEER = Path(__file__).parent / "datatrove_peer.py"
# What both sides are given: the rules that datatrove has too.
SAME = Corpus(
    filters=(
        "gopher", "symbols", "repetition", {"name": "c4", "punctuation": False}, "fineweb",
    ),
    dedup=Dedup(near=0.8),
)  # fmt: skip


def main() -> None:
    """Run the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}, peer")
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer", help="the python of an environment with datatrove")
    args = parser.parse_args()
    for name in args.rows or ROWS:
        found = peer(args) if name == "peer" else ROWS[name](args)
        print(json.dumps({"row": name, **found}), flush=True)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines."""
    return map(json.loads, b"".join(chunks(path)).splitlines())


def near(args: argparse.Namespace) -> dict[str, Any]:
    """Recall and precision of near copies at 0.8, as pairs, with several numbers of workers."""
    truth = rows(args.data / "dedup" / "neardup_pairs.jsonl.zst")
    true = {frozenset((row["a"], row["b"])) for row in truth if row["jaccard_word5"] >= 0.8}
    found = {}
    for workers in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder, crew(workers, 60) as hands:
            specs = open_specs([str(args.data / "dedup" / "neardup_docs.jsonl.zst")])
            batches = refine._batches(specs, Batch(0, (), (), Corpus(filters=()), Path(folder)))
            list(hands.run(judge_batch, batches))
            import daft

            paths = [batch.path for batch in batches]
            kept = daft.read_parquet([str(path) for path in paths]).where(daft.col("kept"))
            names = dict(zip(*kept.select("key", "id").to_pydict().values(), strict=True))
            n, edges = near_pairs(kept, [], paths, 0.8, hands, every=True)
            found[workers] = {frozenset((names[edge.left], names[edge.right])) for edge in edges}
    first = found[1]
    return {
        "recall": len(true & first) / len(true),
        "precision": len(true & first) / len(first),
        "pairs": len(true),
        "candidates": n,
        "same at 1, 2, 4 workers": len(set(map(frozenset, found.values()))) == 1,
    }


def personal(args: argparse.Namespace) -> dict[str, Any]:
    """Recall and precision of each kind of personal data, a place being found where the spans overlap."""
    hit, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for row in rows(args.data / "pii_toxicity" / "presidio_synth_v2.jsonl.zst"):
        want = [
            (span["start_position"], span["end_position"], KINDS[span["entity_type"]])
            for span in row["spans"]
            if span["entity_type"] in KINDS
        ]
        found = find(row["full_text"], tuple(FINDERS))
        for start, end, kind in want:
            good = any(kind == other and start < high and low < end for low, high, other in found)
            (hit if good else missed)[kind] += 1
        for start, end, kind in found:
            wrong[kind] += not any(kind == other and start < high and low < end for low, high, other in want)
    every = {kind: (hit[kind], missed[kind], wrong[kind]) for kind in sorted(KINDS.values())}
    every["all"] = (hit.total(), missed.total(), wrong.total())
    return {
        kind: {"recall": good / (good + gone), "precision": good / (good + bad), "places": good + gone}
        for kind, (good, gone, bad) in every.items()
    }


def toxicity(args: argparse.Namespace) -> dict[str, Any]:
    """The area under the ROC curve over five folds, and how often hatecheck's cases of each kind are called toxic."""
    from groundup.corpus.classifier import train

    comments = list(rows(args.data / "pii_toxicity" / "surge_toxicity_en.jsonl.zst"))
    texts, labels = [row["text"] for row in comments], [row["is_toxic"] == "Toxic" for row in comments]
    areas = measured(texts, labels, LETTERS)
    learned = train(texts, labels, LETTERS)
    cases: dict[str, list[bool]] = {}
    for row in rows(args.data / "pii_toxicity" / "hatecheck.jsonl.zst"):
        name = f"{row['functionality']} ({row['label_gold']})"
        cases.setdefault(name, []).append(learned.score(row["test_case"]) > 0.5)
    called = {name: round(sum(each) / len(each), 3) for name, each in sorted(cases.items())}
    return {"auc": sum(areas) / len(areas), "folds": areas, "hatecheck called toxic": called}


def language(args: argparse.Namespace) -> dict[str, Any]:
    """Accuracy on sentences: the mean of 30 large languages, and each of the 79."""
    hit, count = Counter[str](), Counter[str]()
    every = list(rows(args.data / "langid" / "lingua_testdata.jsonl.zst"))
    sentences = [(row["lang"], row["text"]) for row in every if row["kind"] == "sentences"]
    identify(sentences[0][1])  # opens the model
    start = time.process_time()
    found = [identify(text)[0] for _, text in sentences]
    seconds = time.process_time() - start
    for (code, _), guess in zip(sentences, found, strict=True):
        count[code] += 1
        hit[code] += guess == code
    each = {code: round(hit[code] / count[code], 3) for code in sorted(count)}
    macro = sum(each[code] for code in LARGE) / len(LARGE)
    rate, mean = count.total() / seconds, sum(len(text) for _, text in sentences) / len(sentences)
    return {"macro of 30": macro, "documents/s": rate, "mean characters": mean, "large": LARGE, "each": each}


def contamination(args: argparse.Namespace) -> dict[str, Any]:
    """Items of MMLU and BoolQ in the textbooks: by runs of 13 words, and those that are only near."""
    index = Index([str(args.data / "eval" / f"{name}.jsonl.zst") for name in ("mmlu", "boolq")])
    exact, close = set[str](), set[str]()
    for row in rows(args.data / "pretrain" / "textbooks_openstax.jsonl.zst"):
        hits = index.hits(row["text"], 0.5)
        exact.update(hits.exact)
        close.update(hits.near)
    return {"items": index.sizes, "exact": by_set(exact), "near alone": by_set(close - exact), "found": sorted(exact)}


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Text in to clean Parquet out with the default filters: MB a second and core, and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        return timed(args, Path(folder), [])


def everything(args: argparse.Namespace) -> dict[str, Any]:
    """The same with every filter, both classifiers and repeated passages."""
    with tempfile.TemporaryDirectory() as folder:
        filters = [{"name": each.name, **each.tree()} for each in all_filters(args.data, Path(folder))]
        recipe = Path(folder) / "recipe.toml"
        recipe.write_text(tomli_w.dumps({"corpus": {"filters": filters}}), encoding="utf-8")
        return timed(args, Path(folder), ["--config", str(recipe), "corpus.dedup.spans=50"])


def timed(args: argparse.Namespace, place: Path, settings: list[str]) -> dict[str, Any]:
    """One build of tiled texts, start-up and all."""
    size = tile(args.data, place / "texts", args.megabytes * 1_000_000) / 1e6
    start = time.perf_counter()
    peak = watch(build(place / "texts", place / "out", args.workers, settings))
    seconds = time.perf_counter() - start
    funnel = json.loads((place / "out" / "facts.json").read_text(encoding="utf-8"))["funnel"]
    rate = size / seconds / args.workers
    return {"MB": size, "seconds": seconds, "MB/s/core": rate, "peak MB": peak / 1e6, "funnel": funnel}


def steps(args: argparse.Namespace) -> dict[str, Any]:
    """What each step of the first pass reads by itself, in MB a CPU second, texts split into words anew each time."""
    texts = [row["text"] for name in TEXTS for row in list(rows(args.data / "pretrain" / f"{name}.jsonl.zst"))[::40]]
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        filters = [*all_filters(args.data, Path(folder)), *Corpus(filters="web").filters]
        work: dict[str, Callable[[str], Any]] = {
            "repair": repair,
            "digests": lambda text: hashlib.blake2b(folded(text)).digest(),
            "near": lambda text: bands(minima(runs(text), 0.8), 0.8),
            "spans": lambda text: prints(text, 50),
        }
        for each in filters:
            assert isinstance(each, Filter)
            work[each.name] = lambda text, each=each: each.judge(Document("d", text, "s", "p"))
        rates = {}
        for name, step in work.items():
            step(texts[0])  # opens models and lists
            start = time.process_time()
            for text in texts:
                step(text)
            rates[name] = round(size / (time.process_time() - start), 1)
    return {"MB": size, **rates}


class Clock(Silent):
    """Seconds of each pass: by the clock, and of this process's own thread, which no other can share."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.own: dict[str, float] = {}

    @contextmanager
    def task(self, label: str, total: float | None = None, unit: str = "") -> Iterator[Silent]:  # type: ignore[override]
        """Time what is done under it."""
        wall, own = time.perf_counter(), time.thread_time()
        yield self
        self.wall[label], self.own[label] = time.perf_counter() - wall, time.thread_time() - own


def passes(args: argparse.Namespace) -> dict[str, Any]:
    """The rates of the three passes with the default filters, as `groundup corpus cost` asks for them."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        size = tile(args.data, place / "texts", args.megabytes * 1_000_000) / 1e6
        facts = refine.build(
            [str(place / "texts")], settings=Corpus(), out=place / "out", workers=args.workers, progress=clock
        )
    judge, relate, publish = clock.wall.values()
    parent, documents = clock.own["copies and split"], facts["funnel"][0]["documents"]
    return {
        "judge MB/s": size / judge / args.workers,
        "relate MB/s": size / max(relate - parent, 1e-9) / args.workers,
        "parent documents/s": documents / parent,
        "publish MB/s": size / publish / args.workers,
        "MB": size,
        "documents": documents,
        "seconds": clock.wall,
    }


def kill(args: argparse.Namespace) -> dict[str, Any]:
    """A build that is killed ten times, at any moment after its start, against one that is left alone."""
    draw, landed = random.Random(1), 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tile(args.data, place / "texts", args.megabytes * 1_000_000)
        start = time.perf_counter()
        build(place / "texts", place / "whole" / "corpus", args.workers, []).wait()
        seconds = time.perf_counter() - start
        for _ in range(10):
            process = build(place / "texts", place / "killed" / "corpus", args.workers, [])
            time.sleep(draw.uniform(0.1, 0.35) * seconds)
            landed += process.poll() is None
            process.kill()
            process.wait()
        build(place / "texts", place / "killed" / "corpus", args.workers, []).wait()
        one, other = (
            {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            for root in (place / "whole", place / "killed")
        )
        return {"files": len(one), "landed": landed, "identical": one == other, "seconds": seconds}


def build(texts: Path, out: Path, workers: int, settings: list[str]) -> "subprocess.Popen[bytes]":
    """`groundup corpus build`, begun."""
    command = [sys.executable, "-m", "groundup", "corpus", "build", str(texts), "--out", str(out), "--json"]
    return subprocess.Popen([*command, "--workers", str(workers), *settings], stdout=subprocess.DEVNULL)


def all_filters(data: Path, folder: Path) -> list[Any]:
    """The default filters and all that need a file: both classifiers are trained here."""
    from groundup.corpus.classifier import train

    comments = list(rows(data / "pii_toxicity" / "surge_toxicity_en.jsonl.zst"))
    texts, labels = [row["text"] for row in comments], [row["is_toxic"] == "Toxic" for row in comments]
    train(texts, labels, LETTERS).save(folder / "toxic")
    kinds = [[row["text"] for row in list(rows(data / "pretrain" / f"{name}.jsonl.zst"))[:300]] for name in TEXTS[1:]]
    train(kinds[0] + kinds[1], [True] * len(kinds[0]) + [False] * len(kinds[1])).save(folder / "quality")
    sets = [str(data / "eval" / f"{name}.jsonl.zst") for name in ("mmlu", "boolq", "gsm8k_test")]
    more = (
        {"name": "profanity"},
        {"name": "quality", "file": str(folder / "quality"), "least": 0.01},
        {"name": "toxicity", "file": str(folder / "toxic"), "most": 0.99},
        {"name": "contamination", "sets": sets},
        {"name": "personal"},
    )
    return [*Corpus(filters="default").filters, *Corpus.from_tree({"filters": list(more)}).filters]


def tile(data: Path, out: Path, most: int) -> int:
    """Write the books, textbooks and docs again and again, some words of each copy changed; the bytes written."""
    out.mkdir()
    texts = [row["text"] for name in TEXTS for row in rows(data / "pretrain" / f"{name}.jsonl.zst")]
    draw, size, part = random.Random(0), 0, 0
    while size < most:
        with (out / f"{part:04d}.jsonl").open("w", encoding="utf-8") as file:
            for text in texts:
                words = text.split(" ")
                for _ in range(len(words) // 20 * bool(part)):
                    words[draw.randrange(len(words))] = f"w{draw.randrange(50_000)}"
                size += file.write(json.dumps({"text": " ".join(words)}, ensure_ascii=False) + "\n")
                if size >= most:
                    break
        part += 1
    return sum(path.stat().st_size for path in out.iterdir())


def watch(process: "subprocess.Popen[bytes]") -> int:
    """The most bytes that a process and its children held together until it ended."""
    peak = 0
    while process.poll() is None:
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.2)
    return peak


def peer(args: argparse.Namespace) -> dict[str, Any]:
    """The same 50 MB through the same rules and MinHash settings here and in datatrove, on one core each."""
    if not args.peer:
        raise SystemExit("--peer: give the python of an environment with datatrove and spacy")
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts"
        tile(args.data, texts, PEER_BYTES)
        seconds = 0.0
        with crew(1, 600) as hands:
            template = Batch(0, (), (), SAME, Path(folder))
            first = replace(template, path=Path(folder) / "first")
            list(hands.run(judge_batch, [first]))  # the worker starts, and imports what it needs
            batches = refine._batches(open_specs([str(texts)]), template)
            start = time.perf_counter()
            judged = sum(counts.judged for _, counts in hands.run(judge_batch, batches))
            seconds = time.perf_counter() - start
        command = [args.peer, str(PEER), str(texts), f"{folder}/peer"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
        theirs = json.loads(done.stdout.splitlines()[-1])
    ours = judged / seconds
    return {"documents/s": ours, "datatrove documents/s": theirs["rate"], "times": ours / theirs["rate"], **theirs}


ROWS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "near": near,
    "personal": personal,
    "toxicity": toxicity,
    "language": language,
    "contamination": contamination,
    "passes": passes,
    "steps": steps,
    "speed": speed,
    "everything": everything,
    "kill": kill,
}

if __name__ == "__main__":
    main()
