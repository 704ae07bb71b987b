"""What a method of extraction is: a web page in, the text that people came to read out."""

from abc import abstractmethod

from groundup.config import Component, Folder

METHODS = Folder("corpus.extract")


class Extractor(Component):
    """Takes the text out of web pages. Pure: the same page always gives the same text."""

    @abstractmethod
    def main(self, page: str) -> str:
        """The main text of a page, without navigation, scripts and comments; "" where none is found."""

    def text(self, page: bytes, charset: str = "") -> str:
        """The text of a page: its main text, or all of it where it is all text, or no main part is found.

        `charset` is what the server said, which is believed where the page is no UTF-8. A page that has none of the
        elements of a web site is a page of a book: all of it is kept.
        """
        html = decoded(page, charset)
        return (not is_site(html) and everything(html)) or self.main(html) or everything(html)


# What a page of a book does not have. (Footers and asides it may have: they are a letter's end, a note in the margin.)
SITE = ("<script", "<nav", "<form", "<iframe", "<noscript", "<button", "<input")


def is_site(html: str) -> bool:
    """Whether a page has anything that only a web site has.

    >>> is_site("<p>Call me Ishmael.</p>"), is_site("<NAV>Home</NAV><p>Welcome.</p>")
    (False, True)
    """
    return any(mark in html for mark in SITE) or any(mark in html.lower() for mark in SITE)


def decoded(page: bytes, charset: str = "") -> str:
    """A page as text: as UTF-8 where it is, else as the server said, as it says itself, or as its bytes look.

    >>> decoded("<p>Zoë</p>".encode("cp1252")), decoded("<p>Zoë</p>".encode("utf-16"))
    ('<p>Zoë</p>', '<p>Zoë</p>')
    """
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

    if page.startswith((b"\xff\xfe", b"\xfe\xff")):
        return page.decode("utf-16", "replace")
    if b"\x1b" not in page:  # with which the older Japanese encodings, all ASCII otherwise, change their letters
        try:
            return page.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError:
            pass
    named = charset and map_encoding_to_html5(charset, fallback_utf8=False)
    encoding = named or detect_encoding(page, from_html_meta=True) or "utf-8"
    return str(bytes_to_str(page, encoding, errors="replace")).removeprefix("\ufeff")


def everything(html: str, main_content: bool = False) -> str:
    """All visible text of a page by resiliparse, blocks a blank line apart, lists with bullets; or its main content.

    Texts of images, addresses of links, forms and comments are no text.
    """
    from resiliparse.extract.html2text import extract_plain_text

    text: str = extract_plain_text(
        html,
        main_content=main_content,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=False,
    )
    return text.strip()
