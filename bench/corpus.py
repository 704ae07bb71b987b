"""The cleaning half of the corpus engine: how right it is, how fast, and what datatrove makes of the same text.

    python bench/corpus.py DATA [near personal toxicity language contamination speed kill peer]
                           [--megabytes 500] [--workers 2] [--peer PYTHON]

DATA is the folder of shared data (its MANIFEST.md says what is in it). Without row names all are run but `peer`, which
needs the python of an environment with datatrove and spacy. Each row prints one JSON line. `speed` tiles books,
textbooks and docs with noise to --megabytes and builds a corpus of them; `peer` gives both the same 50 MB and the same
rules and counts neither's start.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from groundup.corpus.settings import Corpus, Dedup
from groundup.corpus.sources._base import open_specs
from groundup.corpus.streams import chunks

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
    start = time.perf_counter()
    for row in rows(args.data / "langid" / "lingua_testdata.jsonl.zst"):
        if row["kind"] == "sentences":
            count[row["lang"]] += 1
            hit[row["lang"]] += identify(row["text"])[0] == row["lang"]
    seconds = time.perf_counter() - start
    every = {code: round(hit[code] / count[code], 3) for code in sorted(count)}
    macro = sum(every[code] for code in LARGE) / len(LARGE)
    return {"macro of 30": macro, "documents/s": count.total() / seconds, "large": LARGE, "each": every}


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
    """Text in to clean Parquet out, with the default filters and with everything on; and each filter's own rate."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        size = tile(args.data, place / "texts", args.megabytes * 1_000_000)
        for name, settings in (("default", []), ("everything", everything(args.data, place))):
            start = time.perf_counter()
            process = build(place / "texts", place / name, args.workers, settings)
            peak = watch(process)
            seconds = time.perf_counter() - start
            facts = json.loads((place / name / "facts.json").read_text(encoding="utf-8"))
            rate = size / 1e6 / seconds / args.workers
            found[name] = {"seconds": seconds, "MB/s/core": rate, "peak MB": peak / 1e6, "removed": facts["removed"]}
    return {"MB": size / 1e6, **found, "MB/s of each": filter_rates(args.data)}


def kill(args: argparse.Namespace) -> dict[str, Any]:
    """A build that is killed ten times, at any moment, against one that is left alone."""
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tile(args.data, place / "texts", args.megabytes * 1_000_000)
        start = time.perf_counter()
        build(place / "texts", place / "whole", args.workers, []).wait()
        seconds = time.perf_counter() - start
        for _ in range(10):
            process = build(place / "texts", place / "killed", args.workers, [])
            time.sleep(draw.uniform(0.02, 0.15) * seconds)
            process.kill()
            process.wait()
        build(place / "texts", place / "killed", args.workers, []).wait()
        one, other = (
            {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            for root in (place / "whole", place / "killed")
        )
        return {"files": len(one), "identical": one == other, "seconds": seconds}


def build(texts: Path, out: Path, workers: int, settings: list[str]) -> "subprocess.Popen[bytes]":
    """`groundup corpus build`, begun."""
    command = [sys.executable, "-m", "groundup", "corpus", "build", str(texts), "--out", str(out), "--json"]
    return subprocess.Popen([*command, "--workers", str(workers), *settings], stdout=subprocess.DEVNULL)


def everything(data: Path, folder: Path) -> list[str]:
    """Settings with every filter, both classifiers and repeated passages; the classifiers are trained here."""
    from groundup.corpus.classifier import train

    comments = list(rows(data / "pii_toxicity" / "surge_toxicity_en.jsonl.zst"))
    texts, labels = [row["text"] for row in comments], [row["is_toxic"] == "Toxic" for row in comments]
    train(texts, labels, LETTERS).save(folder / "toxic")
    kinds = [[row["text"] for row in list(rows(data / "pretrain" / f"{name}.jsonl.zst"))[:300]] for name in TEXTS[1:]]
    train(kinds[0] + kinds[1], [True] * len(kinds[0]) + [False] * len(kinds[1])).save(folder / "quality")
    sets = [str(data / "eval" / f"{name}.jsonl.zst") for name in ("mmlu", "boolq", "gsm8k_test")]
    filters = [
        *({"name": each.name, **each.tree()} for each in Corpus(filters="default").filters),
        {"name": "profanity"},
        {"name": "quality", "file": str(folder / "quality"), "least": 0.01},
        {"name": "toxicity", "file": str(folder / "toxic"), "most": 0.99},
        {"name": "contamination", "sets": sets},
        {"name": "personal"},
    ]
    (folder / "recipe.toml").write_text(tomli_w.dumps({"corpus": {"filters": filters}}), encoding="utf-8")
    return ["--config", str(folder / "recipe.toml"), "corpus.dedup.spans=50"]


def filter_rates(data: Path) -> dict[str, float]:
    """What each filter reads by itself, in MB a second on one core, texts split into words anew each time."""
    texts = [row["text"] for name in TEXTS for row in list(rows(data / "pretrain" / f"{name}.jsonl.zst"))[::40]]
    size = sum(len(text.encode()) for text in texts) / 1e6
    rates = {}
    for each in (*Corpus(filters="default").filters, *Corpus(filters="web").filters):
        assert isinstance(each, Filter)
        start = time.perf_counter()
        for text in texts:
            each.judge(Document("d", text, "s", "p"))
        rates[each.name] = round(size / (time.perf_counter() - start), 1)
    return rates


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
            list(hands.run(judge_batch, [template]))  # the worker starts, and imports what it needs
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
    "speed": speed,
    "kill": kill,
}

if __name__ == "__main__":
    main()
