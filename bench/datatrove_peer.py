"""datatrove's side of `bench/corpus.py peer` and of the row `corpus`: its Gopher, C4
and FineWeb filters and MinHash signatures on one process.

    python bench/datatrove_peer.py TEXTS OUT

Runs in an environment of its own (datatrove, spacy, orjson). Start-up is left out: a first document goes through
everything before the clock starts. Prints one JSON line.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

# Bands and rows of groundup.corpus.minhash.shape(0.8).
BANDS, ROWS = 16, 6


def rules(out: str) -> tuple[list, MinhashDedupSignature]:
    """Its filters, and its signatures with our bands and rows."""
    filters = [
        GopherQualityFilter(),
        GopherRepetitionFilter(),
        C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=3, min_words_per_line=5),
        FineWebQualityFilter(),
    ]
    config = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
    return filters, MinhashDedupSignature(out, config=config)


def main() -> None:
    """Time every document through the filters, and those that pass them through the signature."""
    filters, minhash = rules(sys.argv[2])
    files = sorted(Path(sys.argv[1]).glob("*.jsonl"))
    texts = [json.loads(line)["text"] for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    judge(Document("A first sentence that warms it up. " * 40, "0"), filters, minhash)
    start, kept = time.perf_counter(), 0
    for number, text in enumerate(texts):
        kept += judge(Document(text, str(number)), filters, minhash)
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": len(texts) / seconds, "documents": len(texts), "datatrove kept": kept}))


def judge(document: Document, filters: list, minhash: MinhashDedupSignature) -> bool:
    """Whether the filters keep a document; its signature is worked out if so."""
    for each in filters:
        outcome = each.filter(document)
        if outcome is not True and (not isinstance(outcome, tuple) or not outcome[0]):
            return False
    minhash.get_signature(minhash.get_shingles(document.text))
    return True


if __name__ == "__main__":
    main()
