"""Tokens as markup: a text cut into what the model sees, each piece with what is known of it."""

import json
from collections.abc import Sequence
from html import escape

from groundup.infer.inside import Guess, Place

MOST_BITS = 16.0
"""Surprisal from which a token has the full colour: a guess among 65,536."""

VISIBLE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}


class Words:
    """What the ids of a vocabulary are called."""

    def __init__(self, table: Sequence[bytes], special: dict[int, str]) -> None:
        self._table, self._special = table, special

    def name(self, token: int) -> str:
        """A token as one readable word: spaces and line ends as signs, bytes that are no text as numbers.

        >>> Words([b" cat", bytes([0xe6]), b""], {2: "<|end|>"}).name(0), Words([b"", bytes([0xe6])], {}).name(1)
        ('·cat', '⟨e6⟩')
        """
        if token in self._special:
            return self._special[token]
        data = self._table[token]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return f"⟨{data.hex(' ')}⟩"
        return "".join(VISIBLE.get(letter, letter if letter.isprintable() else f"⟨{ord(letter):x}⟩") for letter in text)

    def shown(self, token: int) -> str:
        """The same as markup that may break where the text does."""
        name = escape(self.name(token))
        return name.replace("⏎", "⏎<br>") if token not in self._special else f"<i>{name}</i>"


def surprise(words: Words, first: int, places: Sequence[Place]) -> str:
    """The text in colours: the stronger, the less it was expected. What was expected is in each token's data."""
    spans = [f'<span class="tok first">{words.shown(first)}</span>']
    for place in places:
        told = {
            "token": words.name(place.token),
            "bits": round(place.surprisal, 2),
            "rank": place.rank,
            "entropy": round(place.entropy, 2),
            "top": [[words.name(token), round(probability, 4)] for token, probability in place.top],
        }
        share = min(place.surprisal / MOST_BITS, 1.0)
        spans.append(
            f'<span class="tok" tabindex="0" role="button" style="--w:{share:.3f}" '
            f'data-place="{escape(json.dumps(told, ensure_ascii=False))}">{words.shown(place.token)}</span>'
        )
    return f'<div class="text surprise" role="group" aria-label="Tokens by surprisal">{"".join(spans)}</div>'


def pieces(words: Words, ids: Sequence[int]) -> str:
    """The text cut into tokens, each with its id; neighbours differ in colour."""
    spans = [
        f'<span class="piece c{place % 4}" title="{token}">{words.shown(token)}<small>{token}</small></span>'
        for place, token in enumerate(ids)
    ]
    return f'<div class="text pieces" role="group" aria-label="Tokens with their ids">{"".join(spans)}</div>'


def lens_table(words: Words, ids: Sequence[int], layers: Sequence[Sequence[Guess]]) -> str:
    """A row for each layer, the last one above: what it would say after each token."""
    heads = "".join(f'<th scope="col">{escape(words.name(token))}</th>' for token in ids[:-1])
    rows = []
    for number, guesses in reversed(list(enumerate(layers))):
        label = "embedding" if number == 0 else f"layer {number}"
        cells = "".join(
            f'<td style="--w:{guess.probability:.3f}" class="{"right" if guess.token == came else ""}" '
            f'title="{guess.probability:.1%}; what came: {guess.right:.1%}">{escape(words.name(guess.token))}</td>'
            for guess, came in zip(guesses, ids[1:], strict=True)
        )
        rows.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Logit lens"><table class="lens"><thead><tr>'
        f'<th scope="col">after</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
