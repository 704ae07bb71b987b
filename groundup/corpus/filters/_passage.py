"""A part of a long text that speaks for the whole of it."""


def passage(text: str, characters: int) -> str:
    """The middle of a text, from the start of a word: beginnings are titles and menus, ends are notes.

    >>> passage("one two three four five", 9)
    'three fou'
    """
    if len(text) <= characters:
        return text
    start = (len(text) - characters) // 2
    space = text.find(" ", start, start + 40)
    start = space + 1 if space >= 0 else start
    return text[start : start + characters]
