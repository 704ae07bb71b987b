"""The 25 kinds of instruction of IFEval, each a rule that a reply follows or not (Zhou et al. 2023, 2311.07911).

Rules are those of the published checkers but for three, which need models or tables that are not here: sentences are
counted by their full stops, words in capitals by white space and punctuation, and the language is fastText's finding.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from groundup.corpus.filters.language import identify
from groundup.errors import DataError, nearest

ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
SENTENCE_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\b[A-Z])[.!?]+[\"”’')\]*_]*(?=\s|\Z)")
WORD = re.compile(r"\w+(?:[-'’]\w+)*")
POSTSCRIPTS = {"P.S.": r"p\.\s?s\..*$", "P.P.S": r"p\.\s?p\.\s?s.*$"}

Settings = Mapping[str, Any]


def follows(name: str, settings: Settings, reply: str) -> bool:
    """Does a reply follow an instruction, `keywords:existence` say? An empty one follows none.

    Raises DataError for an instruction of no known kind.
    """
    kind = name.partition(":")[2]
    if kind not in RULES:
        raise DataError(f"IFEval has no instruction {name!r}; {nearest(kind, RULES)}")
    return bool(reply.strip()) and RULES[kind](settings, reply)


def _compared(settings: Settings, value: int, wanted: str, relation: str = "relation") -> bool:
    """Is a number under the wanted one, or at least that, as the settings ask?"""
    least = settings[wanted]
    return value < least if settings[relation] == "less than" else value >= least


def _count(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.IGNORECASE))


def _n_sentences(text: str) -> int:
    """Ends of sentences, and one more for what comes after the last."""
    ends = list(SENTENCE_END.finditer(text))
    return len(ends) + bool(text[ends[-1].end() if ends else 0 :].strip())


def _paragraphs(settings: Settings, reply: str) -> bool:
    """As many as asked, between the dividers ***; only the first and the last may be empty."""
    parts = re.split(r"\s?\*\*\*\s?", reply)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    return sum(bool(part.strip()) for part in parts) == settings["num_paragraphs"]


def _nth_first_word(settings: Settings, reply: str) -> bool:
    """As many paragraphs as asked, between blank lines; the nth begins with the word."""
    parts = reply.split("\n\n")
    full = sum(bool(part.strip()) for part in parts)
    nth = settings["nth_paragraph"]
    if full != settings["num_paragraphs"] or nth > full or not parts[nth - 1].strip():
        return False
    first = parts[nth - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", first)[0].lower() == settings["first_word"].lower()


def _postscript(settings: Settings, reply: str) -> bool:
    marker = settings["postscript_marker"].strip()
    pattern = POSTSCRIPTS.get(marker, marker.lower() + r".*$")
    return re.search(pattern, reply.lower(), re.MULTILINE) is not None


def _highlights(settings: Settings, reply: str) -> bool:
    """*Stretches* between asterisks; those between two count once more."""
    single = [part for part in re.findall(r"\*[^\n\*]*\*", reply) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n\*]*\*\*", reply) if part[2:-2].strip()]
    return len(single) + len(double) >= settings["num_highlights"]


def _bullets(settings: Settings, reply: str) -> bool:
    starred = re.findall(r"^\s*\*[^\*].*$", reply, re.MULTILINE)
    dashed = re.findall(r"^\s*-.*$", reply, re.MULTILINE)
    return len(starred) + len(dashed) == settings["num_bullets"]


def _sections(settings: Settings, reply: str) -> bool:
    split = settings["section_spliter"].strip()
    return len(re.split(rf"\s?{split}\s?\d+\s?", reply)) - 1 >= settings["num_sections"]


def _json(settings: Settings, reply: str) -> bool:
    text = reply.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _two(settings: Settings, reply: str) -> bool:
    """Two replies that differ, with six asterisks between."""
    parts = [part.strip() for part in reply.split("******")]
    full = [part for part in parts if part]
    return all(parts[1:-1]) and len(full) == 2 and full[0] != full[1]


def _quoted(settings: Settings, reply: str) -> bool:
    text = reply.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def _in_language(text: str, wanted: str) -> bool:
    """Is a text in a language? Where there are no letters to tell by, it is."""
    found, _ = identify(text.replace("\n", " ").lower())
    return found in ("", wanted.partition("-")[0])


RULES: Mapping[str, Callable[[Settings, str], bool]] = {
    "existence": lambda given, reply: all(_count(word, reply) for word in given["keywords"]),
    "frequency": lambda given, reply: _compared(given, _count(given["keyword"].strip(), reply), "frequency"),
    "forbidden_words": lambda given, reply: not any(_count(rf"\b{word}\b", reply) for word in given["forbidden_words"]),
    "letter_frequency": lambda given, reply: _compared(
        given, reply.lower().count(given["letter"].lower()), "let_frequency", "let_relation"
    ),
    "response_language": lambda given, reply: _in_language(reply, given["language"]),
    "number_sentences": lambda given, reply: _compared(given, _n_sentences(reply), "num_sentences"),
    "number_paragraphs": _paragraphs,
    "number_words": lambda given, reply: _compared(given, len(re.findall(r"\w+", reply)), "num_words"),
    "nth_paragraph_first_word": _nth_first_word,
    "number_placeholders": lambda given, reply: _count(r"\[.*?\]", reply) >= given["num_placeholders"],
    "postscript": _postscript,
    "number_bullet_lists": _bullets,
    "constrained_response": lambda given, reply: any(answer in reply for answer in ANSWERS),
    "number_highlighted_sections": _highlights,
    "multiple_sections": _sections,
    "json_format": _json,
    "title": lambda given, reply: any(
        found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", reply)
    ),
    "two_responses": _two,
    "repeat_prompt": lambda given, reply: reply.strip().lower().startswith(given["prompt_to_repeat"].strip().lower()),
    "end_checker": lambda given, reply: reply.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower()),
    "capital_word_frequency": lambda given, reply: _compared(
        given, sum(word.isupper() for word in WORD.findall(reply)), "capital_frequency", "capital_relation"
    ),
    "english_capital": lambda given, reply: reply.isupper() and _in_language(reply, "en"),
    "english_lowercase": lambda given, reply: reply.islower() and _in_language(reply, "en"),
    "no_comma": lambda given, reply: "," not in reply,
    "quotation": _quoted,
}
