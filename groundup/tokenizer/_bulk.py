"""Whole corpora to ids by gigatoken, many times as fast as the canonical library, where both give the same ids.

The canonical `tokenizer.json` says what the ids are. Byte-level BPE is read from it by gigatoken too, which is tried on
probes before it is trusted; whatever it cannot read, or reads differently, stays with the canonical library.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from groundup.tokenizer.patterns import PATTERNS

if TYPE_CHECKING:
    import tokenizers

Ids = npt.NDArray[np.uint32]

RENEW_BYTES = 1 << 28
"""Text after which the encoder is made anew: up to 0.10 it remembers every word that it has met, without a limit."""

PROBES = (
    "",
    "It's 12345 o'clock; DON'T they'll\tsay\u00a0so?  \r\n\r\n   x\n \n",
    "def f(a, *b):\n    return {'k': a[0] != b}  # --- === ...\n\x00\x0b\x85\u2028",
    "Ça va, naïve e\u0301tude, Добрый день, 世界 １２３ ٣٤٥ ½ \U0001f600\u200d\U0001f525 ﬁ İı \ufeff",
    "<|end_of_text|> <|user|>x <0x41> ##",
)


class Bulk:
    """An encoder of texts that are valid Unicode (no lone surrogates)."""

    def __init__(self, saved: str) -> None:
        """`saved` is a whole `tokenizer.json`. Raises what gigatoken does for a kind that it does not know."""
        tree: dict[str, Any] = json.loads(saved)
        tree["added_tokens"] = []  # special tokens in a text are text
        if _splits(tree) == PATTERNS["gpt-2"]:  # it knows this one under the library's own name for it alone
            tree["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
        self._saved = json.dumps(tree)
        self._left = 0
        self._renew()

    def encode(self, text: str) -> Ids:
        """The ids of a text. Raises UnicodeEncodeError for a lone surrogate."""
        self._left -= len(text)
        if self._left < 0:
            self._renew()
        try:
            found: Ids = self._encoder.encode(text)
        except TypeError:
            text.encode()
            raise
        return found

    def _renew(self) -> None:
        from gigatoken.gigatoken_rs import load_hf_json

        self._encoder, self._left = load_hf_json(self._saved), RENEW_BYTES


def _splits(tree: dict[str, Any]) -> str | None:
    """The regular expression that a `tokenizer.json` of ours splits a text by."""
    steps = (tree.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
    found: str | None = steps[0].get("pattern", {}).get("Regex")
    return found


def open_bulk(backend: "tokenizers.Tokenizer") -> Bulk | None:
    """A fast encoder with the ids of `backend`, or None where there is none."""
    from tokenizers import models

    model: Any = backend.model
    if not isinstance(model, models.BPE) or model.byte_fallback:
        return None
    try:
        bulk = Bulk(backend.to_str())
        same = all(bulk.encode(text).tolist() == backend.encode(text, add_special_tokens=False).ids for text in PROBES)
    except Exception:  # not installed for this machine, or a tokenizer that it refuses: it has no error of its own
        return None
    return bulk if same else None
