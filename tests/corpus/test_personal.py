"""Personal data: what is masked, what only looks like it, and the figures on data with known places."""

from argparse import Namespace
from pathlib import Path

import pytest

from bench.corpus import personal
from groundup.corpus.document import Document
from groundup.corpus.filters._personal import FINDERS, find
from groundup.corpus.filters.personal import Personal
from groundup.errors import ConfigError

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def masked(text: str) -> str:
    found = Personal(kinds=tuple(FINDERS)).judge(Document("d", text, "s", "p")).document
    return found.text if found else text


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("mail ann.lee+x@mail.example.co.uk.", "mail [EMAIL]."),
        ("see https://example.org/a?b=1.", "see [URL]."),
        ("card 4539 5787 6362 1486, thanks", "card [CARD], thanks"),
        ("IBAN GB82 WEST 1234 5698 7654 32 now", "IBAN [IBAN] now"),
        ("de89370400440532013000", "[IBAN]"),
        ("ssn 460-89-9847", "ssn [NATIONAL_ID]"),
        ("cpf 529.982.247-25, dni 12345678Z", "cpf [NATIONAL_ID], dni [NATIONAL_ID]"),
        ("nino QQ 12 34 56 C? no: AB 12 34 56 C", "nino QQ 12 34 56 C? no: [NATIONAL_ID]"),
        ("from 86.121.97.248 and 2a00:1450:4001:81b::200e", "from [IP] and [IP]"),
        ("key AKIAIOSFODNN7EXAMPLE", "key [KEY]"),
        ("api_key = 'abcdef0123456789abcdef'", "api_key = '[KEY]'"),
        ("at 48.858370, 2.294481", "at [GPS]"),
        ("at -33.856784, 151.215297", "at [GPS]"),
        ("+44 20 7946 0958 or (555) 123-4567", "[PHONE] or [PHONE]"),
        ("call me on 9472 7916 today", "call me on [PHONE] today"),
    ],
)
def test_what_is_personal_is_masked(text: str, after: str) -> None:
    assert masked(text) == after


@pytest.mark.parametrize(
    "text",
    [
        "The war of 1914-1918, and that of 1939-1945.",
        "On 2021-03-04 at 12:30:45 the version 1.2.3 was made.",
        "card 4539 5787 6362 1487 fails its check digit",
        "GB82 WEST 1234 5698 7654 33 fails its remainder",
        "localhost is 127.0.0.1 and the router 192.168.0.1",
        "1 000 000 000 people and 3.14159265 radians",
        "std::vector<int>::size(), a::b and f(x)::g",
        "an ISBN is 978-0-14-143951-8 and a price is $1,234.56",
        "@property\ndef name(self): return 'a@b'",
        "01 02 03 04 05 06 07 08 09 10",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert masked(text) == text


def test_a_document_can_be_dropped_instead() -> None:
    verdict = Personal(action="drop").judge(Document("d", "a@example.org and b@example.org, 86.121.97.248", "s", "p"))
    assert (verdict.reason, verdict.value, verdict.threshold) == ("personal_email", 2.0, 0.0)


def test_masks_are_counted_and_kinds_are_checked() -> None:
    kept = Personal().judge(Document("d", "a@example.org and 86.121.97.248", "s", "p")).document
    assert kept is not None and kept.masked == 2
    with pytest.raises(ConfigError, match="did you mean 'email'"):
        Personal.from_tree({"kinds": ["emial"]})


def test_long_hostile_texts_take_little_time() -> None:
    for text in (
        "@" * 50_000,
        "a@" * 50_000,
        "1" * 100_000,
        "1 " * 50_000,
        "0.1" * 30_000,
        ":" * 50_000,
        "a.b@c." * 9000,
    ):
        find(text, tuple(FINDERS))


@pytest.mark.skipif(not (DATA / "pii_toxicity").exists(), reason="needs ../shared/data")
def test_recall_and_precision_on_synthetic_sentences() -> None:
    for kind, figures in personal(Namespace(data=DATA)).items():
        assert min(figures["recall"], figures["precision"]) >= 0.95, kind
