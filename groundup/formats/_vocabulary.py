"""A tokenizer that was made elsewhere becomes ours: the same ids for the same text, and room for a chat.

Its token at the end of a text gets our name for it. Special tokens that it lacks take ids that the model has and the
tokenizer does not use (published models round their vocabulary up), and new ones after those.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundup.errors import DataError, UnsupportedError
from groundup.tokenizer._base import Tokenizer, special_tokens
from groundup.tokenizer.special import END_OF_TEXT, SPECIAL

ENDS = (END_OF_TEXT, "<|endoftext|>", "</s>")
"""What others call the end of a text, the likeliest first."""

SAMPLE = (
    "Hello, World! 1234  two spaces\n\tdef f(x): return x",
    "\u00e9\u00df\u4e16\u754c\U0001f600 \u00bd",
    " lead and trail ",
)
"""What every tokenizer of ours gives back as it was."""


def read_tokenizer(path: Path, vocab_size: int) -> tuple[Tokenizer, list[str]]:
    """The tokenizer in a `tokenizer.json`, made ours, and notes on what was changed.

    Every id of a model with `vocab_size` rows has a token. Raises DataError for a file that is no tokenizer or not this
    model's, and UnsupportedError for one that does not give every text back.
    """
    tree = _tree(path)
    notes = _plain(tree, path)
    taken = {token["id"] for token in tree["added_tokens"]} | set(tree["model"]["vocab"].values())
    if max(taken) >= vocab_size:
        raise DataError(f"{path}: has the id {max(taken)} and the model {vocab_size} rows; it is another model's")
    if len(taken) != max(taken) + 1:
        raise UnsupportedError(f"{path}: {max(taken) + 1 - len(taken)} ids below {max(taken)} stand for no token")
    notes += _name_the_end(tree)
    backend = _backend(tree, path)
    present = {token["content"] for token in tree["added_tokens"]}
    missing = [name for name in SPECIAL if name not in present]
    backend.add_special_tokens(special_tokens(missing))
    filler = [f"<|reserved_{number}|>" for number in range(backend.get_vocab_size(), vocab_size)]
    backend.add_special_tokens(special_tokens(filler))
    if missing:
        notes.append(f"has no {', '.join(missing)}: these are new, and mean nothing before the model is fine-tuned")
    learned = Tokenizer(backend)
    for text in SAMPLE:
        if learned.decode(learned.encode(text)) != text:
            raise UnsupportedError(f"{path}: gives {learned.decode(learned.encode(text))!r} back for {text!r}")
    return learned, notes


def _tree(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; name a folder that has it with --tokenizer DIR") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a JSON file ({error}); fetch it again") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict) or not tree["model"].get("vocab"):
        raise DataError(f"{path}: holds no vocabulary; fetch it again")
    if not isinstance(tree["model"]["vocab"], dict):
        raise UnsupportedError(f"{path}: model.type={tree['model'].get('type')!r}: byte-level BPE is what can come in")
    tree["added_tokens"] = tree.get("added_tokens") or []
    return tree


def _plain(tree: dict[str, Any], path: Path) -> list[str]:
    """Take out what is done around the tokens. Raises UnsupportedError for what changes the text for good."""
    notes = []
    normalizer = tree.get("normalizer")
    if normalizer is not None:
        if normalizer.get("type") != "NFC":
            raise UnsupportedError(
                f"{path}: normalizer={normalizer.get('type')!r}: a text would not come back as it was"
            )
        notes.append("normalised text to NFC; here text stays as it is, which is the same for text that is NFC")
    for part in _parts(tree.get("pre_tokenizer")):
        if part.get("type") == "ByteLevel" and part.get("add_prefix_space"):
            raise UnsupportedError(f"{path}: add_prefix_space=true: a text would not come back as it was")
        if part.get("type") == "Metaspace":
            raise UnsupportedError(f"{path}: pre_tokenizer='Metaspace': byte-level BPE is what can come in")
    for token in tree["added_tokens"]:
        token |= {"special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    tree.update(normalizer=None, post_processor=None, truncation=None, padding=None)
    return notes


def _parts(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if pre_tokenizer is None:
        return []
    return list(pre_tokenizer.get("pretokenizers", [pre_tokenizer]))


def _name_the_end(tree: dict[str, Any]) -> list[str]:
    """Give the token at the end of a text our name, wherever it is written down."""
    added = {token["content"]: token for token in tree["added_tokens"]}
    old = next((name for name in ENDS if name in added), None)
    if old in (None, END_OF_TEXT):
        return []
    added[old]["content"] = END_OF_TEXT
    vocab = tree["model"]["vocab"]
    if old in vocab:
        vocab[END_OF_TEXT] = vocab.pop(old)
    return [f"its {old} is called {END_OF_TEXT} here"]


def _backend(tree: Mapping[str, Any], path: Path) -> Any:
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_str(json.dumps(tree))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path}: not a tokenizer: {error}; fetch it again") from None
