"""User agents, read twice: by the rules of 2018 and by ua-parser. The raw header goes no further than this.

The rules of 2018 give browser, version and operating system, first hit wins. They are few and fixed on purpose: these
values are dimensions that people compare over years. A browser that the list does not know has no name. ua-parser knows
some hundreds of browsers, systems and devices, and what it says changes with its version. Its tables take 30 MB and a
tenth of a second, so they are built at the first user agent.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ua_parser import Resolver

CACHED_AGENTS = 16_384


class Agent(NamedTuple):
    browser: str | None = None
    version: str | None = None
    """Major version in decimal digits."""
    os: str | None = None


class ParsedAgent(NamedTuple):
    browser: str | None = None
    version: str | None = None
    """As many parts as are known, with dots."""
    os: str | None = None
    os_version: str | None = None
    device: str | None = None


_OPERATING_SYSTEMS = (
    ("iPod", "iPod"),
    ("iPad", "iPad"),
    ("iPhone", "iPhone"),
    ("Android", "Android"),
    ("BlackBerry", "BlackBerry"),
    ("Linux", "Linux"),
    ("Macintosh", "Macintosh"),
    ("Mozilla/5.0 (Mobile;", "FirefoxOS"),
    ("Windows NT 10.0", "Windows 10"),
    ("Windows NT 6.3", "Windows 8.1"),
    ("Windows NT 6.2", "Windows 8"),
    ("Windows NT 6.1", "Windows 7"),
    ("Windows NT 6.0", "Windows Vista"),
    ("Windows NT 5.1", "Windows XP"),
    ("Windows NT 5.0", "Windows 2000"),
)
_AFTER_KEYWORD = r"[/ ]([0-9]{1,9})"
_AFTER_LAST_SLASH = r".*/([0-9]{1,9})"


def _rule(keyword: str, browser: str, os: str | None = None, *, last: bool = False) -> tuple[str, str, str | None, str]:
    return keyword, browser, os, _AFTER_LAST_SLASH if last else f".*?{re.escape(keyword)}{_AFTER_KEYWORD}"


_BROWSERS = tuple(
    (keyword, browser, os, re.compile(pattern, re.ASCII | re.DOTALL))
    for keyword, browser, os, pattern in (
        _rule("Edge", "Edge"),
        _rule("Chrome", "Chrome"),
        _rule("Opera Mini", "Opera Mini", last=True),
        _rule("Opera Mobi", "Opera Mobi", last=True),
        _rule("Opera", "Opera", last=True),
        _rule("MSIE", "MSIE"),
        ("Trident/7.0", "MSIE", None, r"()"),
        _rule("Safari", "Safari", last=True),
        _rule("Firefox AndroidSync", "FxSync", "Android"),
        _rule("Firefox-iOS-Sync", "FxSync", "iOS"),
        _rule("Firefox", "Firefox"),
    )
)
_TRIDENT_VERSION = "11"


@lru_cache(CACHED_AGENTS)
def read_agent(text: str) -> Agent:
    """What a User-Agent header says; an `Agent` of Nones for a stranger."""
    os = next((name for keyword, name in _OPERATING_SYSTEMS if keyword in text), None)
    for keyword, browser, own_os, version in _BROWSERS:
        if keyword in text:
            found = version.match(text)
            number = (found[1] or _TRIDENT_VERSION) if found else None
            return Agent(browser, number, own_os or os)
    return Agent(None, None, os)


@lru_cache(CACHED_AGENTS)
def parse_agent(text: str) -> ParsedAgent:
    """What ua-parser makes of a User-Agent header; None for what it does not know."""
    from ua_parser import Domain

    found = _resolver()(text, Domain.ALL)
    browser, os, device = found.user_agent, found.os, found.device
    return ParsedAgent(
        browser.family if browser else None,
        _dotted(browser.major, browser.minor, browser.patch, browser.patch_minor) if browser else None,
        os.family if os else None,
        _dotted(os.major, os.minor, os.patch, os.patch_minor) if os else None,
        device.family if device else None,
    )


@cache
def _resolver() -> Resolver:
    from ua_parser.loaders import load_builtins
    from ua_parser.regex import Resolver as Compiled

    return Compiled(load_builtins())


def _dotted(*parts: str | None) -> str | None:
    known = parts[: parts.index(None)] if None in parts else parts
    return ".".join(part for part in known if part) or None
