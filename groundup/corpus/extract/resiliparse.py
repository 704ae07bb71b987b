"""For speed: resiliparse, in C++ on one pass over the tree (Bevendorff et al. 2018, "Elastic ChatNoir")."""

import re

from groundup.corpus.extract._base import Extractor, everything

# Browsers stop at 512 elements within each other (Blink); the time of the library grows with the square of the depth.
MANY_TAGS, DEEPEST = 16384, 2048
# Elements that have an end of their own, which those in the list may lack.
NESTING = re.compile(
    r"<(/?)(?!(?:p|li|td|tr|th|dt|dd|option|br|hr|img|input|meta|link|source|wbr|col|area|embed)\b)[a-z][^<>]*(?<!/)>",
    re.IGNORECASE,
)


class Resiliparse(Extractor):
    """Several times as fast as trafilatura, with a few more lines of what stands around the text."""

    def main(self, page: str) -> str:
        """The main text by resiliparse; "" where it finds none, or its elements lie deeper than on any real page."""
        if page.count("<") > MANY_TAGS and depth(page) > DEEPEST:
            return ""
        return everything(page, main_content=True)


def depth(page: str) -> int:
    """How many elements of a page lie within each other, at most.

    >>> depth("<div><b>x</b><i>y</i></div>")
    2
    """
    most = level = 0
    for tag in NESTING.finditer(page):
        level += -1 if tag.group(1) and level else 0 if tag.group(1) else 1
        most = max(most, level)
    return most
