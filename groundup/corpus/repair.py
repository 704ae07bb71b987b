"""Encoding repair and Unicode normalisation: what every document goes through before it is judged.

ftfy reads 3.6 MB/s, so it is called only for a text in which two neighbours look like mojibake.
"""

import re
import sys
import unicodedata
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundup.corpus.words import edges

# Mojibake of UTF-8 always has neighbours outside ASCII; scripts from U+2E80 on (CJK) never take part in it.
NEIGHBOUR = re.compile("[\x80-\u2e7f\ufb01\ufb02\ufffd]")
# Control characters but tab and line feed, line and paragraph separators, byte-order marks, lone surrogates.
STRAY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
IS_STRAY, IS_NEIGHBOUR = 1, 2
LINE_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def repair(text: str) -> tuple[str, bool]:
    r"""The text with line feeds as line ends, no control characters, mojibake undone, in NFC; whether it was mojibake.

    >>> repair("Zo\u00c3\u00ab\r\n")
    ('Zoë\n', True)
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    kinds, mojibake = _kinds(text), False
    if not text.isascii():
        text, mojibake = _without_mojibake(text, kinds)
    if mojibake or (kinds & IS_STRAY).any():
        text = STRAY.sub(_instead, text)
    return unicodedata.normalize("NFC", text), mojibake


def _kinds(text: str) -> NDArray[np.uint8]:
    """What each character is: IS_STRAY, IS_NEIGHBOUR, or both. Patterns take three times as long."""
    return _table()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]


@cache
def _table() -> NDArray[np.uint8]:
    """The kind of every character."""
    every = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    table = np.zeros(len(every), np.uint8)
    for kind, pattern in ((IS_STRAY, STRAY), (IS_NEIGHBOUR, NEIGHBOUR)):
        for match in pattern.finditer(every.tobytes().decode("utf-32-le", "surrogatepass")):
            table[match.start()] |= kind
    return table


def _without_mojibake(text: str, kinds: NDArray[np.uint8]) -> tuple[str, bool]:
    from ftfy import badness, fix_text

    found = edges(kinds & IS_NEIGHBOUR != 0)
    together = found[1::2] - found[::2] > 1
    bounds = zip(found[::2][together].tolist(), found[1::2][together].tolist(), strict=True)
    neighbours = " ".join(sorted({text[start:end] for start, end in bounds}))
    if not neighbours or not badness.is_bad(neighbours):
        return text, False
    fixed = fix_text(text, _settings())
    return fixed, fixed != text


def _instead(stray: re.Match[str]) -> str:
    letter = stray.group()
    if letter in LINE_ENDS:
        return "\n"
    return "\ufffd" if "\ud800" <= letter <= "\udfff" else ""


@lru_cache(maxsize=1)
def _settings() -> Any:
    """Undo wrong decoding and nothing else: quotes, ligatures and wide letters are the author's."""
    from ftfy import TextFixerConfig

    return TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
