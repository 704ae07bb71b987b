"""Names of people in a text, by Presidio and a spaCy model: neither is needed for anything else, nor fetched by us."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from groundup.errors import UnsupportedError

KIND = "name"
# spaCy holds whole documents in memory; parts of a text end at a line end where there is one.
PART = 50_000
# Of what its model finds Presidio is always this sure, by its own default (0.85), so any bar below does.
LEAST = 0.5


def check(model: str) -> None:
    """Raises UnsupportedError where Presidio or the spaCy model (a package or a folder) is missing."""
    try:
        import presidio_analyzer  # noqa: F401
        import spacy
    except ImportError:
        raise UnsupportedError("personal.kinds: names are found by Presidio; `pip install 'groundup[names]'`") from None

    if not (Path(model).expanduser() / "meta.json").is_file() and not spacy.util.is_package(model):
        raise UnsupportedError(
            f"personal.model: there is no spaCy model {model!r}; `python -m spacy download {model}`, or give the "
            "folder of one that finds PERSON"
        )


def names(text: str, model: str) -> Iterator[tuple[int, int]]:
    """Where names of people stand, in characters."""
    start = 0
    while start < len(text):
        end = len(text) if len(text) - start <= PART else (text.rfind("\n", start, start + PART) + 1 or start + PART)
        if end <= start:
            end = start + PART
        analyzer, language = _analyzer(model)
        for found in analyzer.analyze(text[start:end], language=language, entities=["PERSON"], score_threshold=LEAST):
            yield start + found.start, start + found.end
        start = end


@cache
def _analyzer(model: str) -> tuple[Any, str]:
    """Presidio with the recognizer of names alone, on a spaCy model, and the model's language."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    place = str(Path(model).expanduser()) if (Path(model).expanduser() / "meta.json").is_file() else model
    pipeline = spacy.load(place)
    language = str(pipeline.lang)
    engine: Any = SpacyNlpEngine(models=[{"lang_code": language, "model_name": place}])
    engine.nlp = {language: pipeline}
    registry = RecognizerRegistry(
        recognizers=[SpacyRecognizer(supported_language=language, supported_entities=["PERSON"])],
        supported_languages=[language],
    )
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language]), language
