"""Ids to text: characters come whole, and a stop string ends the text before it begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.errors import ConfigError
from groundup.infer.text import Detokenizer

BYTES = [bytes([byte]) for byte in range(256)]


def told(text: Detokenizer, data: bytes) -> list[str]:
    """What is given out, byte by byte, and the rest."""
    return [*(text.add(byte) for byte in data), text.close()]


def test_a_character_comes_whole_with_its_last_byte() -> None:
    assert told(Detokenizer(BYTES), "aé😀".encode()) == ["a", "", "é", "", "", "", "😀", ""]
    assert told(Detokenizer(BYTES), b"a\xf0\x9f") == ["a", "", "", "\ufffd"]


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    assert told(Detokenizer(BYTES, ["xyz"]), b"axyb") == ["a", "", "", "xyb", ""]
    assert told(Detokenizer(BYTES, ["xyz"]), b"xy") == ["", "", "xy"]


def test_nothing_comes_after_a_stop_string() -> None:
    text = Detokenizer(BYTES, ["xyz", "q"])
    assert "".join(told(text, b"a xyz bq")) == "a "
    assert text.stopped


def test_a_token_may_hold_text_before_and_after_the_stop() -> None:
    text = Detokenizer([b"one\n\ntwo"], ["\n\n", "wo"])
    assert (text.add(0), text.stopped, text.add(0), text.close()) == ("one", True, "", "")


@given(st.text("abé", max_size=12), st.lists(st.text("abé", min_size=1, max_size=3), max_size=3))
def test_the_text_ends_where_the_first_stop_string_would_begin(said: str, stops: list[str]) -> None:
    text = Detokenizer(BYTES, stops)
    shown = ""
    for byte in said.encode():
        shown += text.add(byte)
    shown += text.close()
    complete = [end for end in range(len(said) + 1) if any(said[:end].endswith(stop) for stop in stops)]
    if complete:
        first = said[: complete[0]]
        assert shown == min((first[: first.index(stop)] for stop in stops if stop in first), key=len)
    else:
        assert shown == said
    assert text.stopped == bool(complete)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        Detokenizer(BYTES, ["a", ""])
