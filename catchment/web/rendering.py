"""Templates: escaped always, with the words of `formats.py` as filters, and what every page has.

`build` changes with the code, so that browsers may keep the files in `static/` and never keep old ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from catchment import __version__
from catchment.units import size
from catchment.web import formats

HERE = Path(__file__).parent
STATIC = HERE / "static"
_FILTERS = ("count", "duration", "age", "clock_time", "timestamp", "plain", "shortened")


class Renderer:
    """Turns templates and values into answers."""

    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update({name: getattr(formats, name) for name in _FILTERS}, size=size)
        digest = partial(blake2b, digest_size=6)
        build = digest(b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))).hexdigest()
        self._templates.globals.update(build=build, version=__version__)

    def text(self, template: str, values: Mapping[str, Any]) -> str:
        return self._templates.get_template(template).render(values)

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A whole page, in the theme that the cookie names."""
        theme = request.cookies.get("theme", "")
        theme = theme if theme in ("light", "dark") else ""
        headers = {"Vary": "Cookie"}
        return HTMLResponse(self.text(template, {"theme": theme, "page": "", **values}), status, headers)

    def fragment(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A part of a page."""
        return HTMLResponse(self.text(template, values), status)

    def failure(self, request: Request, status: int, headline: str, text: str) -> Response:
        return self.page(request, "failure.html", {"headline": headline, "text": text}, status)
