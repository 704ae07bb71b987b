"""tiktoken in the row `tokenizer`: the same pattern and tokens as ranks, on as many threads."""

import json
from pathlib import Path
from typing import Any

from ids import encoding
from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Its Encoding from our vocabulary file."""
    import tiktoken

    saved = json.loads((Path(settings["folder"]) / "vocabulary" / "tokenizer.json").read_text(encoding="utf-8"))
    letters = byte_letters()
    own = tiktoken.Encoding(
        name="ours",
        pat_str=saved["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"],
        mergeable_ranks={
            bytes(letters[letter] for letter in token): number for token, number in saved["model"]["vocab"].items()
        },
        special_tokens={},
    )
    return encoding(settings, lambda texts: own.encode_ordinary_batch(texts, num_threads=settings["threads"]))


def byte_letters() -> dict[str, int]:
    """The letter by which GPT-2's files write each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


if __name__ == "__main__":
    play(prepare)
