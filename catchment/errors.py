"""Every error that Catchment raises on purpose, and its stable code.

    CatchmentError
    ├── Transient            try again: nothing is known to be wrong with the input
    │   ├── Busy             a bounded queue has no place now
    │   ├── Unavailable      a disk, process or service does not answer
    │   ├── Conflict         somebody else committed first; read again, then repeat
    │   └── Unknown          the outcome is not known: read back before repeating
    └── Terminal             the same call will fail again
        ├── Full             no space (terminal until space is freed)
        ├── Corrupt          stored bytes break their format
        ├── Malformed        bytes from outside break their format
        ├── TooLarge         over a stated limit
        ├── Closed           used after close
        ├── Missing          a named thing does not exist
        ├── Fenced           another owner has taken this partition over
        ├── Incompatible     two versions of a thing cannot live together
        ├── BadConfig        a setting is refused
        ├── MissingExtra     an optional library is not installed
        └── QueryError       a query is refused, fails, or runs over a limit

A message says in one line what was being done, the value met, the rule and the next step.
Codes are documented in `docs/errors.md`; a test holds the two together.
"""

from __future__ import annotations

from typing import ClassVar


class CatchmentError(Exception):
    """Root of all errors raised on purpose. `code` is stable; the text is not."""

    code: ClassVar[str] = "error"


class Transient(CatchmentError):
    """The same call may succeed later."""

    code = "transient"


class Busy(Transient):
    code = "busy"


class Unavailable(Transient):
    code = "unavailable"


class Conflict(Transient):
    code = "conflict"


class Unknown(Transient):
    code = "unknown_outcome"


class Terminal(CatchmentError):
    """The same call will fail again."""

    code = "terminal"


class Full(Terminal):
    code = "full"


class Corrupt(Terminal):
    code = "corrupt"


class Malformed(Terminal):
    code = "malformed"


class TooLarge(Terminal):
    code = "too_large"


class Closed(Terminal):
    code = "closed"


class Missing(Terminal):
    code = "missing"


class Fenced(Terminal):
    code = "fenced"


class Incompatible(Terminal):
    code = "incompatible"


class BadConfig(Terminal):
    code = "bad_config"


class MissingExtra(Terminal):
    """An optional library is absent; the message holds the pip command that installs it."""

    code = "missing_extra"

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an optional library; run: pip install 'catchment[{extra}]'")


class QueryError(Terminal):
    """A query was not answered. `reason` is one word for programs (`catchment/query/port.py` lists them); `line` and
    `column`, from 1, are the place in the query's text where it is known."""

    code = "query"

    def __init__(
        self, message: str, reason: str = "failed", line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.line = line
        self.column = column
