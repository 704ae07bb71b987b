"""How a browser shows the key: a form asks for it once; from then on a cookie that is made from it stands for it."""

import hashlib
import hmac
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

PAGE = "/ui"
"""Where the page is."""

ENTRY = f"{PAGE}/enter"
"""Where the form is sent to. It is open."""

COOKIE = "groundup"


def cookie_of(key: str) -> str:
    """The cookie that stands for a key; the key cannot be told from it.

    >>> len(cookie_of("secret"))
    64
    """
    return hmac.new(key.encode(), b"groundup page", hashlib.sha256).hexdigest()


def form(told: str = "") -> str:
    """The form, as a whole HTML page; `told` is said above it."""
    text = files("groundup.serve").joinpath("entry.html").read_text(encoding="utf-8")
    return text.replace("{{ action }}", ENTRY).replace("{{ told }}", told)


def add_entry(app: FastAPI, key: str) -> None:
    """The route that takes the form, and gives a browser that has the key its cookie."""

    @app.post(ENTRY, include_in_schema=False)
    async def enter(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not hmac.compare_digest(fields.get("key", [""])[0].strip().encode(), key.encode()):
            return HTMLResponse(form("That was not the key."), 401)
        answer = RedirectResponse(f"{PAGE}/", 303)
        answer.set_cookie(COOKIE, cookie_of(key), path="/", httponly=True, samesite="strict")
        return answer
