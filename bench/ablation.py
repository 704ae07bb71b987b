"""Does cleaning help? The same small model on books that were dirtied on purpose, with and without filters.

    python bench/ablation.py DATA OUT [--megabytes 6] [--steps 300] [--seeds 1 2 3]

DATA is the folder of shared data. OUT gets `dirty.jsonl`, `quality.safetensors`, two recipes and the runs. Half of the
bytes are books, half are dirt of four kinds in equal parts: advertisements said again and again, tables of numbers,
lists of tags, and chapters whose words are shuffled, which no rule on shapes can tell, only the classifier. It
learned from other books and other dirt. One book is held out for all variants. Prints what
`groundup ablate --json` prints, for the filters' lists `clean` (length alone) and `default` (rules), and for the
classifier off and on.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.corpus import rows
from groundup.corpus.classifier import train

HELD_OUT = "h-g-wells_the-time-machine"
PIECE = 4000
RECIPE = """
[model]
layers = 2
dim = 128
heads = 4
length = 256

[tokenizer]
vocab_size = 2048

[train]
steps = {steps}
rows = 16

[corpus]
held_out = {{ ids = ["{held_out}/*"] }}
"""


def main() -> None:
    """Write the data and the recipe, train every variant, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=6.0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", nargs="+", default=["1", "2", "3"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    books = list(rows(args.data / "pretrain" / "books_standardebooks.jsonl.zst"))
    held = [row for row in books if row["id"].startswith(f"{HELD_OUT}/")]
    others = [row for row in books if not row["id"].startswith(f"{HELD_OUT}/")]
    random.Random(0).shuffle(others)
    half = int(args.megabytes * 500_000)
    clean = list(pieces(others[::2], half))
    dirty = dirt([row["text"] for row in others[::2]], half, seed=1)
    with (args.out / "dirty.jsonl").open("w", encoding="utf-8") as file:
        named = [*((row["id"], row["text"]) for row in held), *clean, *((f"dirt/{n}", t) for n, t in enumerate(dirty))]
        for name, text in named:
            file.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
    learned = [text for _, text in pieces(others[1::2], half // 4)]
    wrong = dirt([row["text"] for row in others[1::2]], half // 4, seed=2)
    train(learned + wrong, [True] * len(learned) + [False] * len(wrong)).save(args.out / "quality.safetensors")
    recipe = args.out / "small.toml"
    recipe.write_text(RECIPE.format(steps=args.steps, held_out=HELD_OUT), encoding="utf-8")
    quality = f'{{name = "quality", file = "{(args.out / "quality.safetensors").resolve()}"}}'
    (args.out / "with.toml").write_text(recipe.read_text(encoding="utf-8") + f'filters = ["length", {quality}]\n')
    for file, vary in (
        (recipe, "corpus.filters=clean,default"),
        (args.out / "with.toml", "corpus.filters.quality=off,on"),
    ):
        words = [str(file), "--data", str(args.out / "dirty.jsonl"), "--vary", vary, "--seeds", *args.seeds, "--json"]
        runs = ["--runs", str(args.out / "runs"), "--name", file.stem]
        done = subprocess.run(
            [sys.executable, "-m", "groundup", "ablate", *words, *runs], stdout=subprocess.PIPE, text=True, check=True
        )
        print(json.dumps({"vary": vary, "rows": json.loads(done.stdout)}), flush=True)


def pieces(books: list[dict], most: int) -> Iterator[tuple[str, str]]:
    """Parts of chapters, named, until there are so many bytes of them."""
    size = 0
    for row in books:
        for number, start in enumerate(range(0, len(row["text"]) - PIECE, PIECE)):
            if size >= most:
                return
            text = row["text"][start : start + PIECE]
            size += len(text.encode())
            yield f"{row['id']}#{number}", text


def dirt(chapters: list[str], most: int, seed: int) -> list[str]:
    """So many bytes of what nobody wants to learn from."""
    draw, made, size = random.Random(seed), [], 0
    while size < most:
        kind, n = len(made) % 4, PIECE // 8
        if kind == 0:
            offer = f"{draw.choice(['Best', 'Cheap', 'New'])} {draw.choice(['shoes', 'cars', 'pills'])} now! "
            text = offer * (PIECE // len(offer))
        elif kind == 1:
            text = "\n".join(" ".join(str(draw.randrange(10**6)) for _ in range(8)) for _ in range(n // 8))
        elif kind == 2:
            text = "\n".join(f"# tag{draw.randrange(999)} ... # more ... " for _ in range(n // 4))
        else:
            words = draw.choice(chapters)[:PIECE].split()
            draw.shuffle(words)
            text = " ".join(words)
        made.append(text)
        size += len(text.encode())
    return made


if __name__ == "__main__":
    main()
