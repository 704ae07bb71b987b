"""Every setting of the corpus room: what a recipe's [corpus] section holds."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from groundup.config import AnyFilter, Component, Config, Folder
from groundup.corpus.split import HeldOut
from groundup.errors import ConfigError, nearest

DEFAULT_FILTERS = "default"
LEAST_NEAR, LEAST_SPAN = 0.5, 20
AnyExtractor = Annotated[Component, Folder("corpus.extract")]


class Dedup(Config):
    """Which copies are removed. What stays of several is what is held out, else what comes first.

    Exact copies are those whose texts are the same but for case and white space. `near` is the Jaccard likeness of the
    sets of runs of five words from which on another text is a copy; 0.8 as in Lee et al. 2022, who
    cut spans of 50 tokens.
    """

    near: float = Field(0.8, ge=0, le=1, description="0: only exact copies are removed; else 0.5 or more")
    across: bool = Field(True, description="copies in other sources count too, not only those in the same --data")
    spans: int = Field(0, ge=0, description="passages of so many words that stand twice are cut (50); 0: none")
    earlier: tuple[str, ...] = Field((), description="earlier corpora (paths, globs): what is in them is removed here")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 0 < self.near < LEAST_NEAR:
            raise ConfigError(f"near: {self.near} would join texts that say different things; use {LEAST_NEAR} or more")
        if 0 < self.spans < LEAST_SPAN:
            raise ConfigError(f"spans: {self.spans} words are a phrase that anyone may use; use {LEAST_SPAN} or more")
        return self


class Corpus(Config):
    """From raw text to clean documents. `filters` is a list, or the name of one in `filters/lists.toml`."""

    extract: AnyExtractor = Field("trafilatura", validate_default=True, description="what reads web pages")
    filters: tuple[AnyFilter, ...] = Field(DEFAULT_FILTERS, validate_default=True)
    dedup: Dedup = Field(default_factory=Dedup)
    held_out: HeldOut = Field(default_factory=HeldOut)

    @field_validator("filters", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in filter_lists():
            raise ConfigError(f"there is no list of filters {value!r}; {nearest(value, filter_lists())}")
        return filter_lists()[value]


@cache
def filter_lists() -> dict[str, list[Any]]:
    """The named lists of filters, each in the order in which they judge."""
    with (Path(__file__).parent / "filters" / "lists.toml").open("rb") as file:
        return tomllib.load(file)
