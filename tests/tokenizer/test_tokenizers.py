"""What holds for every tokenizer in the folder."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.config import Component, Folder
from groundup.errors import ConfigError, DataError
from groundup.tokenizer import _base
from groundup.tokenizer._base import Tokenizer, TokenizerConfig, load, pieces
from groundup.tokenizer._subwords import sample
from groundup.tokenizer.special import SPECIAL

FOLDER = Folder("tokenizer")
NAMES = FOLDER.choices()

PROSE = (
    "It was the best of times, it was the worst of times; don't ask 1234 people why.\n\n"
    "def sum_of(values):\n    total = 0\n    for value in values:\n        total += value  # ### no comment ###\n"
    "    return total\n\nДобрый день, 世界! Ça va? \U0001f600\n"
) * 20


def config(name: str, vocab_size: int = 700) -> TokenizerConfig:
    component: Component = FOLDER.find(name)(vocab_size=vocab_size)
    assert isinstance(component, TokenizerConfig)
    return component


TRAINED = {name: config(name).train([PROSE, PROSE[100:3000]]) for name in NAMES}
each = pytest.mark.parametrize("tokenizer", TRAINED.values(), ids=TRAINED.keys())

any_text = st.text(st.characters(codec=None), max_size=200)  # codec=None: lone surrogates too
spiced = st.lists(
    st.sampled_from(
        [*SPECIAL, "\0", "\ud800", "\udc00", "\ud83d\ude00", "##", "\u203f", "<0x41>", " ", "\r\n", "don't "]
    )
    | st.text(st.characters(codec=None), max_size=20),
    max_size=12,
).map("".join)


def test_the_folder_holds_the_tokenizers_of_the_recipe() -> None:
    assert NAMES == ["bpe", "characters", "wordpiece"]


@each
@settings(max_examples=150, deadline=None)
@given(text=any_text | spiced)
def test_every_str_comes_back_and_no_text_is_special(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special.values())
    data = text.encode("utf-8", errors="surrogatepass")
    assert b"".join(tokenizer.token_bytes[number] for number in ids) == data


@each
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(spiced, max_size=5))
def test_a_batch_and_a_stream_give_what_single_texts_give(tokenizer: Tokenizer, texts: list[str]) -> None:
    single = [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch(texts) == single
    assert [ids.tolist() for ids in tokenizer.encode_stream(iter(texts))] == single


@each
@pytest.mark.parametrize("unit", ["a", " ", "=", "7", "\n", " \n", "é", "\u0301", "ab", "#", "\ud800", "\U0001f600"])
def test_a_hundred_thousand_like_characters_take_linear_time(tokenizer: Tokenizer, unit: str) -> None:
    text = unit * (100_000 // len(unit))
    start = time.perf_counter()
    ids = tokenizer.encode(text)
    assert time.perf_counter() - start < 5.0  # measured 0.03 to 0.3; quadratic would be minutes
    assert tokenizer.decode(ids) == text


@each
def test_special_tokens_have_ids_at_the_end_and_no_bytes(tokenizer: Tokenizer) -> None:
    assert list(tokenizer.special) == list(SPECIAL)
    last = range(tokenizer.vocab_size - len(SPECIAL), tokenizer.vocab_size)
    assert list(tokenizer.special.values()) == list(last)
    assert [number for number, data in enumerate(tokenizer.token_bytes) if not data] == list(last)
    assert tokenizer.decode([*tokenizer.encode("a"), *last, *tokenizer.encode("b")]) == "ab"


@each
def test_ids_that_are_no_text_decode_to_replacement_characters(tokenizer: Tokenizer) -> None:
    lone = tokenizer.token_bytes.index(b"\xc3")
    assert tokenizer.decode([*tokenizer.encode("a"), lone]) == "a\ufffd"


@each
def test_saved_and_loaded_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load(tmp_path)
    assert again.token_bytes == tokenizer.token_bytes
    assert again.special == tokenizer.special
    text = PROSE + "<|user|>\ud800\0"
    assert again.encode(text) == tokenizer.encode(text)
    assert not {path.suffix for path in tmp_path.iterdir()} - {".json"}


@each
def test_transformers_reads_the_saved_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(str(tmp_path))
    assert len(theirs) == tokenizer.vocab_size
    assert theirs.all_special_ids and set(theirs.all_special_ids) <= set(tokenizer.special.values())
    for text in (PROSE, "", " a  b ", "\0\t\r\n", "it 's , I 'm .", "### \u203f 世"):
        ids = tokenizer.encode(text)
        assert theirs.encode(text) == ids
        assert theirs.decode(ids) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_vocabulary_is_as_large_as_asked(name: str) -> None:
    smallest = 513 if name == "wordpiece" else 257
    many = "".join(map(chr, range(0x4E00, 0x5500))) + PROSE
    for vocab_size in (smallest, smallest + 3, smallest + 6, smallest + 107):
        tokenizer = config(name, vocab_size).train([many])
        assert tokenizer.vocab_size == len(tokenizer.token_bytes) == vocab_size
        assert tokenizer.decode(tokenizer.encode(PROSE)) == PROSE
        assert list(tokenizer.special) == list(SPECIAL[: vocab_size - smallest + 1])
    with pytest.raises(ConfigError, match="vocab_size"):
        FOLDER.find(name).from_tree({"vocab_size": smallest - 1})


@pytest.mark.parametrize("name", NAMES)
def test_a_text_too_short_gives_a_smaller_vocabulary(name: str) -> None:
    tokenizer = config(name, 5000).train(["abcabc"])
    assert tokenizer.vocab_size < 600
    assert tokenizer.decode(tokenizer.encode("zebra")) == "zebra"


@pytest.mark.parametrize("name", NAMES)
def test_training_is_the_same_in_another_process_and_in_another_order(name: str, tmp_path: Path) -> None:
    texts = [PROSE, PROSE[100:3000], "Other words, other merges. " * 9]
    source = tmp_path / "texts.json"
    source.write_text(json.dumps(texts))
    code = (
        "import json, sys; from pathlib import Path; from groundup.config import Folder\n"
        f"texts = json.loads(Path({str(source)!r}).read_text())\n"
        f"made = Folder('tokenizer').find({name!r})(vocab_size=700).train(texts[::-1])\n"
        f"made.save(Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    made = config(name).train(texts)
    made.save(tmp_path / "here")
    assert (tmp_path / "here" / "tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_training_without_text_says_so(name: str) -> None:
    with pytest.raises(DataError, match="no text"):
        config(name).train(["", ""])


@pytest.mark.parametrize("name", NAMES)
def test_lone_surrogates_teach_nothing(name: str) -> None:
    learnt = config(name).train(["\ud800", "a\udfffb" + PROSE])
    assert learnt.token_bytes == config(name).train(["ab" + PROSE]).token_bytes


@each
@settings(max_examples=60, deadline=None)
@given(words=st.lists(spiced | st.sampled_from([" a", "b ", "9 ", "x\n", "\n\n", "'s ", "A 1"]), max_size=40))
def test_no_tokenizer_can_tell_where_a_long_text_was_cut(tokenizer: Tokenizer, words: list[str]) -> None:
    text = "".join(words)
    with pytest.MonkeyPatch.context() as patch:
        whole = tokenizer.encode(text)
        patch.setattr(_base, "PIECE_CHARACTERS", 5)
        assert "".join(pieces(text)) == text
        assert tokenizer.encode(text) == whole


def test_a_sample_is_bounded_even_and_blind_to_order() -> None:
    texts = [f"{number} " + "word " * 2000 for number in range(300)]
    drawn = [*sample(texts, 1_000_000)]
    assert 980_000 < sum(map(len, drawn)) <= 1_000_000
    numbers = [int(text.partition(" ")[0]) for text in drawn]
    assert 110 < sum(numbers) / len(numbers) < 190
    assert sorted(sample(texts[::-1], 1_000_000)) == sorted(drawn)
    assert sorted(sample(texts, 10_000_000)) == sorted(texts)


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(DataError, match="not a tokenizer"):
        load(tmp_path)


def test_a_vocabulary_that_cannot_spell_every_byte_is_refused(tmp_path: Path) -> None:
    tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"a": 0, "b": 1}, merges=[])).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(DataError, match="2 of the 256 bytes"):
        load(tmp_path)
