"""The yardsticks: sizes that a decompressor confirms, and priming that helps where it should."""

import lzma
import random

import pyppmd
import pytest

from groundup.eval.compression import MEMORY_BYTES, ORDER, last_bytes, ppmd, to_bytes, xz, yardsticks

SENTENCE = "the cat sat on a mat while rain fell over every quiet roof and nobody came to see it go"


def text(seed: int, n: int) -> bytes:
    return " ".join(random.Random(seed).choices(SENTENCE.split(), k=n)).encode()


def test_xz_is_that_of_the_command() -> None:
    data = text(1, 2000)
    assert xz(data) == len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME, format=lzma.FORMAT_XZ))


def test_ppmd_writes_what_a_decoder_reads_back() -> None:
    data = text(2, 3000)
    encoder = pyppmd.Ppmd7Encoder(ORDER, MEMORY_BYTES)
    packed = encoder.encode(data) + encoder.flush()
    assert ppmd(data) == len(packed)
    assert pyppmd.Ppmd7Decoder(ORDER, MEMORY_BYTES).decode(packed, len(data)) == data


def test_chunks_do_not_change_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data, primer = text(3, 3000), text(4, 3000)
    whole = ppmd(data, primer=primer)
    monkeypatch.setattr("groundup.eval.compression._CHUNK", 999)
    assert ppmd(data, primer=primer) == whole


def test_primed_is_what_the_data_add_to_the_primer() -> None:
    data, primer = text(5, 3000), text(6, 20_000)
    added = ppmd(primer + data) - ppmd(primer)
    assert 0 <= ppmd(data, primer=primer) - added <= 5
    assert ppmd(data, primer=data) < 0.15 * ppmd(data)


def test_yardsticks_are_bits_per_byte_of_the_data() -> None:
    data, training = text(7, 3000), [text(8, 3000).decode(), text(9, 3000).decode()]
    found = yardsticks(data, training)
    assert found["xz"] == 8 * xz(data) / len(data)
    assert found["ppmd_primed"] < found["ppmd"] < found["xz"] < 8
    assert set(yardsticks(data)) == {"xz", "ppmd"}
    assert yardsticks(random.Random(0).randbytes(20_000))["xz"] == pytest.approx(8.0, abs=0.1)


def test_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="hold at least one document out"):
        yardsticks(b"")


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 7, 8, 100])
def test_last_bytes_are_the_end_of_the_whole(limit: int) -> None:
    texts = ["ab", "", "cdé", "f" * 3]
    whole = "".join(texts).encode()
    assert last_bytes(iter(texts), limit) == (whole[-limit:] if limit else b"")


def test_half_a_surrogate_pair_counts_three_bytes() -> None:
    assert len(to_bytes("a\ud800é")) == 1 + 3 + 2
