"""Where personal data stands in a text: one function a kind, each yielding the places it is sure of.

Patterns find candidates; checksums, ranges and the words around decide. A pattern begins with a character that is
seldom, written once and not as `\\d{3}`: only then does `re` pass over prose quickly. Numbers are looked for only where
digits stand close together.
"""

import ipaddress
import re
import sys
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
Finder = Callable[[str], Iterator[Place]]

DOMAIN = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}")
LOCAL = re.compile(r"[\w.+%'-]+\Z")
URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'`{}|\\^\[\]]+")
IP4 = re.compile(r"\d\d{0,2}(?:\.\d{1,3}){3}")
COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
IP6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
# A shortened address must be one of those that are given out (2000::/3), else `a::b` of a program would be one.
GLOBAL = re.compile(r"[23][0-9A-Fa-f]{3}:")
CARD = re.compile(r"\d(?:[ -]?\d){11,18}")
# First digits of the networks that issue payment cards (ISO/IEC 7812).
ISSUERS = re.compile(r"3[04-9]|4|5[0-9]|6|2[2-7]|1800|2131")
IBAN = re.compile(r"\d\d(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?")
GPS = re.compile(r"\d\d?\.\d{4,}°?[NS]?\s*[,;/]\s*-?\d{1,3}\.\d{4,}")
# Made so that they are found: key headers, and the prefixes that services put before their tokens.
KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{0,8000}?-----END [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{50,}|\bglpat-[\w-]{20,}"
    r"|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{24,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[\w-]{35}|\bhf_[A-Za-z]{30,}"
    r"|\b[rs]k_live_[A-Za-z0-9]{20,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)
KEY_MARKS = ("-----BEGIN", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-",
             "xox", "AIza", "hf_", "k_live_", "eyJ")  # fmt: skip
ASSIGNED = re.compile(r"[:=]\s{0,4}[\"']([A-Za-z0-9+/=_.-]{16,})[\"']")
SECRET = re.compile(r"(?i)(?:api[_-]?key|secret|secret[_-]?key|access[_-]?token|auth[_-]?token|passwo?r?d)[\"']?\s*\Z")
# Social security (US), Cadastro de Pessoas Físicas (BR), Número de identidad (ES), NIR (FR), National Insurance (GB).
SSN = re.compile(r"\d\d\d-\d\d-\d{4}")
CPF = re.compile(r"\d\d\d\.\d{3}\.\d{3}-\d{2}")
DNI = re.compile(r"\d\d{6,7}-?[A-HJ-NP-TV-Z]\b")
NIR = re.compile(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}")
NINO = re.compile(r"\d\d ?\d{2} ?\d{2} ?[A-D]\b")
NINO_PREFIX = re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\Z")
# Phone numbers that their shape alone gives away; others need a word near them that speaks of telephones.
PHONES = (
    re.compile(r"\+\d{1,3}[ .-]?(?:\(0\) ?)?\(?\d(?:[ .()-]{0,2}\d){5,12}(?: ?x ?\d{1,5})?"),
    re.compile(r"\(\d{2,4}\) ?\d{2,4}[-. ]\d{3,4}(?:[-. ]\d{2,4})?(?: ?x ?\d{1,5})?"),
    re.compile(r"\d\d{0,2}[-. ](?:\d{3}[-.]){1,2}\d{4}(?: ?x ?\d{1,5})?"),
    re.compile(r"0[1-9]\d{0,3}(?:[ .-]\d{2,4}){2,4}"),
)
NUMBER = re.compile(r"\d[\d .()-]{4,18}\d(?: ?x ?\d{1,5})?")
CUE = re.compile(
    r"(?i)\b(?:tele)?phone|\btel\b|mobile|\bcell|\bfax|\bcall|\bdial|\bdesk|\boffice|whatsapp|\bsms|answer|messag"
)
CUE_BEFORE, CUE_AFTER = 32, 10
# The least that makes a number of any kind: an address such as 8.8.8.8. Around it lies all that may belong to it.
CLOSE_DIGITS, WITHIN, AROUND = 4, 24, 64
PHONE_DIGITS = (7, 15)
DATE = re.compile(
    r"(?:1[5-9]|20)\d\d[-. ](?:0?[1-9]|1[0-2]|1[5-9]\d\d|20\d\d)\b|\d{1,2}[-. ]\d{1,2}[-. ](?:19|20)\d\d\b"
)


def emails(text: str) -> Iterator[Place]:
    """Mail addresses."""
    for match in DOMAIN.finditer(text):
        local = LOCAL.search(text, max(0, match.start() - 64), match.start())
        if local is not None:
            yield local.start(), match.end()


def urls(text: str) -> Iterator[Place]:
    """Addresses of the web, without the punctuation that ends the sentence around them."""
    for match in URL.finditer(text) if "://" in text or "www." in text else ():
        yield match.start(), match.start() + len(match.group().rstrip(".,;:!?)'"))


def addresses(text: str) -> Iterator[Place]:
    """IP addresses, versions 4 and 6, that are reached from the internet."""
    for match in _numbers(IP4, text):
        if _alone(text, match, ".") and _is_address(match.group()):
            yield match.span()
    if COLONS.search(text):
        for match in IP6.finditer(text):
            whole = match.group().count(":") == 7 or GLOBAL.match(match.group())
            if whole and _is_address(match.group()):
                yield match.span()


def cards(text: str) -> Iterator[Place]:
    """Numbers of payment cards: a known issuer and the check digit of Luhn (ISO/IEC 7812)."""
    for match in _numbers(CARD, text):
        digits = re.sub(r"\D", "", match.group())
        if (
            _alone(text, match, ".")
            and text[match.start() - 1 : match.start()] != "+"
            and ISSUERS.match(digits)
            and len(set(digits)) > 2
            and luhn(digits)
        ):
            yield match.span()


def ibans(text: str) -> Iterator[Place]:
    """International bank account numbers, with the remainder of 97 that ISO 13616 asks for."""
    for match in _numbers(IBAN, text):
        start = match.start() - 2
        country = text[max(0, start) : match.start()]
        if start < 0 or not (country.isascii() and country.isalpha()) or text[start - 1 : start].isalnum():
            continue
        for end in sorted({match.end(), *(match.start() + at.start() for at in re.finditer(" ", match.group()))}):
            if _is_iban(text[start:end].replace(" ", "")):
                yield start, end
                break


def national(text: str) -> Iterator[Place]:
    """National ids: SSN, CPF, DNI and NIE, NIR, NINO; by check digit where they have one, else by range."""
    for pattern, valid in ((SSN, _is_ssn), (CPF, _is_cpf), (DNI, _is_dni), (NIR, _is_nir)):
        for match in _numbers(pattern, text):
            if _alone(text, match, "-.") and valid(re.sub(r"[ .-]", "", match.group())):
                yield match.span()
    for match in _numbers(NINO, text):
        prefix = NINO_PREFIX.search(text, max(0, match.start() - 3), match.start())
        if prefix:
            yield prefix.start(), match.end()


def keys(text: str) -> Iterator[Place]:
    """Private keys, tokens of known services, and long values given to names such as `api_key`."""
    if any(mark in text for mark in KEY_MARKS):
        for match in KEYS.finditer(text):
            yield match.span()
    for match in ASSIGNED.finditer(text):
        if SECRET.search(text, max(0, match.start() - 24), match.start()):
            yield match.span(1)


def coordinates(text: str) -> Iterator[Place]:
    """Latitude and longitude with four decimals or more: ten metres or less."""
    for match in _numbers(GPS, text):
        latitude, longitude = (float(part) for part in re.findall(r"\d+\.\d+", match.group()))
        start = match.start() - (text[match.start() - 1 : match.start()] == "-")
        if latitude <= 90 and longitude <= 180 and not text[match.end() : match.end() + 1].isdigit():
            yield start, match.end()


def phones(text: str) -> Iterator[Place]:
    """Phone numbers: those of an unmistakable shape, and others beside a word that speaks of telephones."""
    for pattern in PHONES:
        for match in _numbers(pattern, text):
            if _alone(text, match, " .-", " .-") and _is_phone(match.group()):
                yield match.span()
    for match in _numbers(NUMBER, text):
        start, end = match.span()
        near = f"{text[max(0, start - CUE_BEFORE) : start]} {text[end : end + CUE_AFTER]}"
        if _alone(text, match, ".") and _is_phone(match.group()) and CUE.search(near):
            yield start, end


FINDERS: Mapping[str, Finder] = {
    "key": keys,
    "email": emails,
    "url": urls,
    "iban": ibans,
    "card": cards,
    "national_id": national,
    "ip": addresses,
    "gps": coordinates,
    "phone": phones,
}
"""Kinds of personal data, the surest first: where two overlap, the first stands."""


def find(text: str, kinds: tuple[str, ...], finders: Mapping[str, Finder] = FINDERS) -> list[tuple[int, int, str]]:
    """Start, end and kind of each place, in order; no two overlap: the first of the finders has it."""
    taken: list[tuple[int, int, str]] = []
    for kind, finder in finders.items():
        for start, end in finder(text) if kind in kinds else ():
            at = bisect(taken, (start, end, kind))
            if (at == 0 or taken[at - 1][1] <= start) and (at == len(taken) or end <= taken[at][0]):
                taken.insert(at, (start, end, kind))
    return taken


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of Luhn.

    >>> luhn("4539578763621486"), luhn("4539578763621487")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2] + [2 * value - 9 * (value > 4) for value in values[1::2]]) % 10 == 0


def _numbers(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for start, end in _stretches(text):
        yield from pattern.finditer(text, start, end)


@lru_cache(maxsize=1)  # each pattern asks in its turn
def _stretches(text: str) -> list[Place]:
    """Where digits stand close together, with what is around them."""
    if text.isascii():
        digits = _digits()[np.frombuffer(text.encode(), np.uint8)]
    else:
        letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        digits = _digits()[letters]
    before = np.concatenate([[0], np.cumsum(digits, dtype=np.int32)])
    width = min(WITHIN, len(text))
    close = np.flatnonzero(before[width:] - before[: len(before) - width] >= CLOSE_DIGITS)
    if not len(close):
        return []
    apart = np.flatnonzero(np.diff(close) > WITHIN + 2 * AROUND)
    starts = np.maximum(close[np.append(0, apart + 1)] - AROUND, 0)
    ends = np.minimum(close[np.append(apart, -1)] + width + AROUND, len(text))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@cache
def _digits() -> NDArray[np.bool_]:
    """Which of all characters are digits to a pattern."""
    return np.array([chr(code).isdecimal() for code in range(sys.maxunicode + 1)])


def _alone(text: str, match: re.Match[str], before: str, after: str = "-") -> bool:
    """Whether a number is not part of a longer one, or of a word; further groups after `before` and `after` count."""
    start, end = match.span()
    left, right = text[max(0, start - 2) : start], text[end : end + 2]
    if left[-1:].isalnum() or right[:1].isalnum():
        return False
    grouped_left = len(left) == 2 and left[1] in before and left[0].isdigit()
    return not grouped_left and not (len(right) == 2 and right[0] in after and right[1].isdigit())


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_private or address.is_loopback or address.is_multicast or address.is_unspecified)


def _is_iban(text: str) -> bool:
    if not 15 <= len(text) <= 34 or not text[2:4].isdigit() or not text.isalnum():
        return False
    turned = (text[4:] + text[:4]).upper()
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def _is_ssn(digits: str) -> bool:
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _is_cpf(digits: str) -> bool:
    values = [int(digit) for digit in digits]
    checks = [
        sum(value * (at - place) for place, value in enumerate(values[: at - 1])) * 10 % 11 % 10 for at in (10, 11)
    ]
    return checks == values[9:] and len(set(values)) > 1


def _is_dni(text: str) -> bool:
    return len(text) == 9 and "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:-1]) % 23] == text[-1]


def _is_nir(text: str) -> bool:
    digits = text.replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and len(digits) == 15 and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _is_phone(text: str) -> bool:
    digits = sum(letter.isdigit() for letter in text.partition("x")[0])
    low, high = PHONE_DIGITS
    return low <= digits <= high and not DATE.match(text)
