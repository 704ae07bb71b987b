"""HTML to text."""


def html_to_text(page: bytes) -> str:
    """The main text of a web page (trafilatura); all visible text where no main part is found; "" for no HTML at all.

    trafilatura's fast mode has an F1 of 0.96 on the article extraction benchmark at 110 pages a second.
    """
    from trafilatura import extract, html2txt

    return extract(page, fast=True, include_comments=False) or html2txt(page) or ""
