"""The document in a record: where data sets keep their text, and what to say when it is not there."""

from collections.abc import Mapping

from groundup.corpus.document import Document, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES

# Names under which data sets keep their text, the most usual first.
TEXT_FIELDS = ("text", "content", "body", "document", "article", "story", "raw_content", "markdown", "code")


def text_field(names: dict[str, bool]) -> str | None:
    """The field that holds the text: `names` says of each field whether it is a string.

    >>> text_field({"id": True, "story": True}), text_field({"id": True, "poem": True}), text_field({"a": False})
    ('story', 'poem', None)
    """
    known = [name for name in TEXT_FIELDS if names.get(name)]
    only = [name for name, is_text in names.items() if is_text and name != "id"]
    return known[0] if known else only[0] if len(only) == 1 else None


def document_of(row: object, label: str, path: str, name: str, where: str, column: str = "") -> Document | Unreadable:
    """The document in a record. `name` is its id when it brings none; `where` names the line or row.

    The text is in `column`, or where it is guessed to be without such a wish. `url` and `license` are taken over.
    """
    if not isinstance(row, dict):
        return Unreadable(name, path, "broken_record", f"{path}: {where}: no object but {type(row).__name__}")
    field = column or text_field({key: isinstance(value, str) for key, value in row.items()})
    if field is None or not isinstance(row.get(field), str):
        wish = f"no text in {column!r}; name another column" if column else f"no text; name its column, {path}#COLUMN"
        detail = f"{path}: {where}: {wish}; it has {', '.join(map(str, row))}"
        return Unreadable(name, path, "no_text", detail)
    text, own = row[field], row.get("id")
    if len(text) > DOCUMENT_BYTES:
        detail = f"{path}: {where}: {len(text):,} characters, over the {DOCUMENT_BYTES:,} that a document may have"
        return Unreadable(name, path, "long_document", detail)
    known = str(own) if isinstance(own, str | int) and str(own) else name
    return Document(known, text, label, path, url=_said(row, "url"), license=_said(row, "license"))


def columns_of(kinds: Mapping[str, bool], column: str) -> list[str]:
    """The columns of a table that a document is made of; `kinds` says of each column whether it is a string.

    >>> columns_of({"id": True, "n": False, "story": True}, "")
    ['id', 'story']
    """
    field = column or text_field(dict(kinds))
    wanted = ("id", "url", "license", field or "")
    return [name for name in wanted if name in kinds] or list(kinds)[:1]


def _said(row: Mapping[str, object], field: str) -> str:
    value = row.get(field)
    return value if isinstance(value, str) else ""
