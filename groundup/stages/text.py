"""Raw text to ids on disk: the stages corpus, tokenizer and tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.stages._work import Work
from groundup.stages.incoming import imported

if TYPE_CHECKING:
    from groundup.corpus.document import Document
    from groundup.tokenizer._bulk import Ids


def corpus(work: Work) -> None:
    """Raw text to clean, split documents."""
    from groundup.corpus import refine

    work.draft.facts |= refine.build(
        work.recipe.data.text,
        settings=work.recipe.corpus,
        out=work.scratch / "corpus",
        progress=work.events,
    )
    (work.scratch / "corpus").rename(work.draft.path / "corpus")


def documents(work: Work, split: str) -> "Iterator[Document]":
    """The kept documents of a split, in reading order."""
    from groundup.corpus import refine

    return refine.documents(work.path("corpus") / "corpus", split)


def tokenizer(work: Work) -> None:
    """Documents to a vocabulary; that of an imported model stays as it is."""
    from groundup.tokenizer import compression
    from groundup.tokenizer._base import TokenizerConfig, load

    config, ranks = work.recipe.tokenizer, work.recipe.data.ranks
    assert isinstance(config, TokenizerConfig)
    given = imported(work.store, work.recipe)
    if given is None:
        learned = config.train((document.text for document in documents(work, "train")), work.events)
    else:
        learned = load(given.path)
    learned.save(work.draft.path)
    texts = [document.text for document in documents(work, "held_out")]
    work.draft.facts |= compression.facts(learned, texts, Path(ranks) if ranks else None)


def tokens(work: Work) -> None:
    """Documents to ids on disk: a file for the training text of each `--data`."""
    from groundup.tokenizer._base import load
    from groundup.tokenizer.special import END_OF_TEXT
    from groundup.tokens import shard

    learned = load(work.path("tokenizer"))
    counted = {}
    for label in [source["label"] for source in work.needs["corpus"].facts["sources"]]:
        texts = (document.text for document in documents(work, "train") if document.source == label)
        with work.events.task(f"tokens of {label}", unit="documents") as bar:

            def ids(texts: Iterator[str] = texts, bar: Any = bar) -> "Iterator[Ids]":
                for found in learned.encode_stream(texts):
                    bar.advance(1)
                    yield found

            facts = shard.write(
                work.draft.path / f"{label}.tokens", ids(), learned.vocab_size, learned.special[END_OF_TEXT]
            )
        counted[label] = facts.n_tokens
    work.draft.facts |= {"tokens": sum(counted.values()), "by_source": counted}
