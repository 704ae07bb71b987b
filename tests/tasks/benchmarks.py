"""Records as they are published on the hub, written by hand, and a hub on loopback that serves them."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

TEN = range(10)
COLOURS = ("red", "blue", "green", "white", "black", "grey", "pink", "brown", "gold", "silver")
LETTERS = {"text": list(COLOURS[:4]), "label": ["A", "B", "C", "D"]}

PUBLISHED: dict[str, dict[str, list[dict[str, Any]]]] = {
    "arc_easy": {
        "ARC-Easy/test": [
            {"id": f"E{n}", "question": f"Which colour has number {n}?", "choices": LETTERS, "answerKey": "ABCD"[n % 4]}
            for n in TEN
        ]
    },
    "arc_challenge": {
        "ARC-Challenge/test": [
            {"id": f"C{n}", "question": f"Which colour has number {n}?", "choices": LETTERS, "answerKey": "ABCD"[n % 4]}
            for n in TEN
        ]
    },
    "blimp": {
        f"{kind}/train": [
            {
                "sentence_good": f"The cats see {n}.", "sentence_bad": f"The cats sees {n}.",
                "UID": kind, "pairID": str(n),
            }
            for n in TEN
        ]
        for kind in ("agreement", "island")
    },
    "boolq": {
        "boolq/validation": [
            {"question": f"is {colour} a colour", "passage": f"{colour} is seen.", "idx": n, "label": n % 2}
            for n, colour in enumerate(COLOURS)
        ]
    },
    "commonsenseqa": {
        "default/validation": [
            {
                "id": f"q{n}", "question": f"What is {colour}?", "question_concept": colour,
                "answerKey": "ABCDE"[n % 5], "choices": {"label": list("ABCDE"), "text": list(COLOURS[:5])},
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "cb": {
        "cb/validation": [
            {"premise": f"He saw {colour}.", "hypothesis": f"it was {colour}", "idx": n, "label": n % 3}
            for n, colour in enumerate(COLOURS)
        ]
    },
    "copa": {
        "copa/validation": [
            {
                "premise": f"The wall was {colour}.", "question": ("cause", "effect")[n % 2], "idx": n, "label": n % 2,
                "choice1": f"She painted it {colour}.", "choice2": f"She ate {colour} bread.",
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "multirc": {
        "multirc/validation": [
            {
                "paragraph": f"The wall is {colour}.", "question": "What is the wall?", "answer": COLOURS[n // 2 * 2],
                "idx": {"paragraph": n, "question": n, "answer": n}, "label": 1 - n % 2,
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "record": {
        "record/validation": [
            {
                "passage": f"Ann painted {n} walls.\n@highlight\nEve saw them\n@highlight\nUno was there",
                "query": "The painter was @placeholder", "entities": ["Uno", "ann", "Ann", "Eve"], "answers": ["Ann"],
                "idx": {"passage": n, "query": n},
            }
            for n in TEN
        ]
    },
    "rte": {
        "rte/validation": [
            {"premise": f"He saw {colour}.", "hypothesis": f"It was {colour}.", "idx": n, "label": n % 2}
            for n, colour in enumerate(COLOURS)
        ]
    },
    "wic": {
        "wic/validation": [
            {
                "word": "paint", "sentence1": f"The paint is {colour}.", "sentence2": f"They paint in {colour}.",
                "start1": 4, "end1": 9, "start2": 5, "end2": 10, "idx": n, "label": n % 2,
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "wsc": {
        "wsc.fixed/validation": [
            {
                "text": f"Ann gave Eve a {colour} ( old ) hat , because she did n't want it .", "span1_index": 0,
                "span2_index": 11, "span1_text": "Ann", "span2_text": "she", "idx": n, "label": n % 2,
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "hellaswag": {
        "default/validation": [
            {
                "ind": n, "activity_label": "Painting", "ctx_a": f"A man takes {colour}.", "ctx_b": "the man",
                "ctx": f"A man takes {colour}. the man",
                "endings": ["paints. [step] ", "flies", "[title] eats", "sings"], "label": str(n % 4),
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "aqua": {
        "raw/test": [
            {
                "question": f"What is {n} + 1?", "options": [f"{letter}){n + m}" for m, letter in enumerate("ABCDE")],
                "rationale": "Count on.", "correct": "B",
            }
            for n in TEN
        ]
    },
    "bbh": {
        f"{task}/test": [{"input": f"not {n} is", "target": f"({letter})"} for n, letter in enumerate("ABCDE")]
        for task in ("boolean_expressions", "dyck_languages")
    },
    "gsm8k": {
        f"main/{split}": [
            {
                "question": f"Ann has {n} hens and buys 1,000. How many?",
                "answer": f"She has {n} + 1000 = <<{n}+1000={n + 1000}>>{n + 1000}.\n#### 1,{n:03}",
            }
            for n in TEN
        ]
        for split in ("train", "test")
    },
    "humaneval": {
        "openai_humaneval/test": [
            {
                "task_id": f"HumanEval/{n}", "prompt": f'def add{n}(x):\n    """Add {n}."""\n',
                "entry_point": f"add{n}", "canonical_solution": f"    return x + {n}\n",
                "test": f"def check(f):\n    assert f(1) == {n + 1}\n",
            }
            for n in TEN
        ]
    },
    "ifeval": {
        "default/train": [
            {
                "key": 1000 + n, "prompt": f"Write {n} words, no comma.",
                "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
                "kwargs": [
                    {"relation": None, "num_words": None}, {"relation": "at least", "num_words": n},
                ],
            }
            for n in TEN
        ]
    },
    "mbpp": {
        f"full/{split}": [
            {
                "task_id": first + n, "text": f"Write a function add{n}.", "code": f"def add{n}(x):\n  return x + {n}",
                "test_list": [f"assert add{n}({m}) == {n + m}" for m in range(3)], "test_setup_code": "",
            }
            for n in TEN
        ]
        for split, first in (("prompt", 1), ("test", 11))
    },
    "svamp": {
        "default/test": [
            {
                "ID": f"chal-{n}", "Body": f"Eve had {n} pens", "Question": "How many has she after buying 2?",
                "Equation": f"( {n}.0 + 2.0 )", "Answer": str(n + 2.0), "Type": "Addition",
            }
            for n in TEN
        ]
    },
    "triviaqa": {
        "rc.nocontext/validation": [
            {
                "question_id": f"t{n}", "question": f"Which colour has number {n}",
                "answer": {"value": colour, "aliases": [colour.title(), f"The {colour}"]},
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
    "lambada": {"default/test": [{"text": f"He painted the old wall in {colour}"} for colour in COLOURS]},
    "mmlu": {
        f"all/{split}": [
            {
                "question": f" Which of {n}? ", "subject": f"colour_{n % 2}",
                "choices": list(COLOURS[:4]), "answer": n % 4,
            }
            for n in TEN
        ]
        for split in ("test", "dev")
    },
    "mt_bench": {
        "default/train": [
            {
                "prompt_id": 81 + n, "category": "writing" if n % 2 else "math",
                "prompt": [f"Say {n}.", "Say it again."], "reference": [str(n), str(n)] if n % 2 else [],
            }
            for n in TEN
        ]
    },
    "openbookqa": {
        "main/test": [
            {"id": f"o{n}", "question_stem": f"The colour of {n} is", "choices": LETTERS, "answerKey": "ABCD"[n % 4]}
            for n in TEN
        ]
    },
    "piqa": {
        "default/validation": [
            {"goal": f"paint it {colour}", "sol1": "use a brush", "sol2": "use a fish", "label": n % 2}
            for n, colour in enumerate(COLOURS)
        ]
    },
    "wikitext2": {
        "wikitext-2-raw-v1/test": [{"page": f" = {colour} = \n A {colour} wall , old . \n"} for colour in COLOURS]
    },
    "winogrande": {
        "winogrande_xl/validation": [
            {
                "sentence": f"Ann saw Eve, and _ wore {colour}.",
                "option1": "Ann", "option2": "Eve", "answer": "12"[n % 2],
            }
            for n, colour in enumerate(COLOURS)
        ]
    },
}  # fmt: skip
"""Benchmark -> CONFIGURATION/SPLIT -> ten records in the form of its data set."""


@contextmanager
def hub(repository: str, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """The address of a hub that has one data set, as Parquet: the two requests that its library makes for a file."""
    files = {f"{split}/0000.parquet": _parquet(rows) for split, rows in splits.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path.startswith(f"/api/datasets/{repository}/tree/refs/convert/parquet"):
                listed = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files.items()]
                self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
                return
            data = files.get(path.removeprefix(f"/datasets/{repository}/resolve/refs/convert/parquet/"))
            if data is None:
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
                return
            self._send(200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": "a" * 40})

        def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    kept = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), kept)
    return kept.getvalue()
