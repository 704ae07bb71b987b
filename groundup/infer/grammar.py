"""Replies that keep to a grammar: JSON, JSON of a schema, or a pattern.

The grammar is followed by llguidance, over the bytes of the ids: before each token it says which ones keep the reply
within what the grammar allows.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool
from torch import Tensor

from groundup.errors import ConfigError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""The schema of any JSON object."""


class Grammars:
    """Makes grammars for one vocabulary.

    `table` holds the bytes of each id, none for `special` ones; `encode` turns text to ids, so that what the grammar
    leaves no choice about is spelled as the model knows it; `end` is the special id that ends a reply.
    """

    def __init__(
        self, table: Sequence[bytes], encode: Callable[[str], list[int]], special: frozenset[int], end: int
    ) -> None:
        self._table, self._encode, self._special, self._end = table, encode, special, end

    def json(self, schema: Mapping[str, Any] = ANY_OBJECT, spaced: bool = False) -> "Grammar":
        """JSON that the schema admits, without white space between its parts, or `spaced` as Python writes it.

        Raises ConfigError for a schema that is none, or that uses what llguidance does not know.
        """
        from llguidance import LLMatcher

        options: Any = {"whitespace_flexible": False}
        if spaced:
            options |= {"item_separator": ", ", "key_separator": ": "}
        return self._grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options), "schema")

    def regex(self, pattern: str) -> "Grammar":
        """Text that the pattern (of Rust's `regex`: no look-around, no back-references) matches from end to end.

        Raises ConfigError for a pattern that is none.
        """
        from llguidance import LLMatcher

        return self._grammar(LLMatcher.grammar_from_regex(pattern), "pattern")

    def _grammar(self, grammar: str, what: str) -> "Grammar":
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ConfigError(f"the {what} cannot be followed: {matcher.get_error().strip()}; write it more simply")
        return Grammar(matcher, self._end)

    @cached_property
    def _tokenizer(self) -> "LLTokenizer":
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Vocabulary(self._table, self._encode, self._special, self._end)))


class Grammar:
    """A `schedule.Guide`: where one reply stands in a grammar."""

    def __init__(self, matcher: "LLMatcher", end: int) -> None:
        self._matcher, self._end = matcher, end

    def allowed(self) -> Bool[Tensor, " V"]:
        """Which ids may come next; only the end where the grammar is done, or was too much for llguidance."""
        mask = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8).bool()
        if self._matcher.is_error():
            mask[:] = False
            mask[self._end] = True
        return mask

    def accept(self, token: int) -> None:
        """This allowed token came."""
        self._matcher.consume_token(token)

    def copy(self) -> "Grammar":
        """The same place in the same grammar, for another reply."""
        return Grammar(self._matcher.deep_copy(), self._end)


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(
        self, table: Sequence[bytes], encode: Callable[[str], list[int]], special: frozenset[int], end: int
    ) -> None:
        self.eos_token_id, self.special_token_ids = end, sorted(special)
        self.tokens = [data or f"<special {token}>".encode() for token, data in enumerate(table)]
        self._encode = encode

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("give text")  # llguidance tries bytes first, to see which of the two is understood
        return self._encode(text)
