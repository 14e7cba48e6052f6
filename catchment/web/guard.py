"""Who may ask, and what a browser may do with the answer.

A page in the same browser must not be able to use the console behind its user's back. So the Host header must name
this console (against DNS rebinding; a plain address cannot be rebound and passes), queries run only for our own pages
or when a person follows a link (Fetch Metadata headers), our own pages and programs alone may change anything, and
every answer forbids foreign scripts, styles, frames and guessing of types.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catchment.web.settings import ConsoleSettings

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Checks Host, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = app
        self._names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                is_file = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if is_file else "no-store")
            await send(message)

        name = host_name(Headers(scope=scope).get("host", ""))
        if name in self._names or _is_address(name):
            await self._app(scope, receive, guarded)
            return
        text = f"The console is not known by the name {name!r}; add it to [console] hosts.\n"
        await PlainTextResponse(text, 421)(scope, receive, guarded)


def host_name(host: str) -> str:
    """The name or address of a Host header, without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def may_run(request: Request) -> bool:
    """Whether a query in this request may run: it comes from our own page, the address bar, a program, or a person
    who followed a link. Not from another site's image, script, frame or forwarding."""
    site = request.headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return True
    is_page = request.headers.get("sec-fetch-dest") == "document"
    return is_page and request.headers.get("sec-fetch-user") == "?1"


def refuse_foreign(request: Request) -> None:
    """Raises HTTPException (403) for what `may_run` does not let run."""
    if not may_run(request):
        raise HTTPException(403, "Another site asked for this.")


def refuse_foreign_change(request: Request) -> None:
    """Raises HTTPException (403) for a request that would change something and is not from our own page or a program.

    Stricter than `refuse_foreign`: no click on another site may change anything. A browser that sends no Fetch
    Metadata is known by its Origin.
    """
    is_ours = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    origin = request.headers.get("origin")
    if not is_ours or (origin is not None and origin.partition("://")[2] != request.headers.get("host")):
        raise HTTPException(403, "Another site asked for this.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
