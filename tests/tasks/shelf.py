"""Small documents to ask about: invented tales, and modules of the standard library."""

import sysconfig
from pathlib import Path
from random import Random

from groundup.corpus.document import Document

CAST = (
    ("Marta", "lighthouse", "lantern"),
    ("Tobias", "orchard", "basket"),
    ("Ingrid", "monastery", "candle"),
    ("Casimir", "shipyard", "anchor"),
    ("Leonora", "observatory", "telescope"),
    ("Balthazar", "vineyard", "barrel"),
    ("Philippa", "bakery", "oven"),
    ("Gregory", "quarry", "hammer"),
    ("Rosalind", "theatre", "curtain"),
    ("Thaddeus", "mill", "wheel"),
    ("Wilhelmina", "harbour", "compass"),
    ("Ambrose", "library", "ledger"),
)
SENTENCES = (
    "At dawn {hero} walked to the {place} and found the {thing} where it had always been.",
    "Nobody in the village had ever seen such a {thing}.",
    "“You must not touch it,” said {hero}, “until the {number} bells have rung.”",
    "The {place} stood empty that {season}, and the wind went through its {number} windows.",
    "In the evening {hero} carried the {thing} home under a grey coat.",
    "It was a long road, and the {season} rain had washed half of it away.",
    "Then {hero} laughed for the first time in {number} years.",
    "Old letters were hidden behind the {place}, tied with {number} ribbons.",
)


def tales(n: int = 12, first: int = 0) -> list[Document]:
    """Tales of one hero, place and thing each, `book/chapter` in their ids."""
    documents = []
    for index in range(first, first + n):
        random = Random(index)
        hero, place, thing = CAST[index]
        numbers, seasons = ("three", "seven", "twelve", "forty", "ninety"), ("spring", "summer", "autumn", "winter")
        sentences = [
            random.choice(SENTENCES).format(
                hero=hero, place=place, thing=thing, number=random.choice(numbers), season=random.choice(seasons)
            )
            for _ in range(60)
        ]
        text = "\n\n".join(" ".join(sentences[start : start + 5]) for start in range(0, 60, 5))
        documents.append(Document(f"anna-writer_the-{place}/chapter-{index}", text, "tales", "tales.jsonl"))
    return documents


def modules(*names: str) -> list[Document]:
    """Sources of the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return [Document(name, (root / name).read_text(encoding="utf-8"), "python", str(root / name)) for name in names]


def documents(split: str) -> list[Document]:
    """Twelve documents of a split, prose and code, none of them in the other."""
    if split == "train":
        return tales(8) + modules("textwrap.py", "shelve.py", "json/decoder.py", "queue.py")
    return tales(4, first=8) + modules("bisect.py", "string.py", "fractions.py", "cmd.py")
