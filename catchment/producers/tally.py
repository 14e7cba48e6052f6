"""The tally: what was sent, what was answered, and what should therefore be in the lake; and the record, line by line.

The expectation counts each acknowledged document once, so repeats after a lost answer, asked for or not, add nothing.
A ping that was given up may still have been stored, when its answer and not itself was lost: `given_up` says how many.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from catchment.clock import Clock, utc
from catchment.errors import BadConfig
from catchment.producers.fleet import Delivery

ERRORS_TABLE = "monitoring.errors"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a delivery ended. `status` is that of the last answer, None when no attempt was answered."""

    status: int | None
    attempts: int
    is_given_up: bool = False


@dataclass(slots=True)
class Tally:
    """Counts of one run. `seconds` is set at its end."""

    sent: int = 0
    clients: int = 0
    seconds: float = 0.0
    repeated_attempts: int = 0
    retried: int = 0
    given_up: int = 0
    unexpected: int = 0
    json_bytes: int = 0
    wire_bytes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    doctypes: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0

    @property
    def is_as_intended(self) -> bool:
        """Everything was acknowledged, or refused as a spoiled ping is."""
        return not self.given_up and not self.unexpected

    @property
    def rate(self) -> float:
        return self.sent / self.seconds if self.seconds else 0.0

    @property
    def acknowledged(self) -> int:
        return self.statuses[200]

    def count(self, delivery: Delivery, outcome: Outcome) -> str:
        """Count one delivery that has ended; returns what is expected of it: accepted, invalid or duplicate."""
        submission = delivery.submission
        self.sent += 1
        self.json_bytes += submission.json_bytes
        self.wire_bytes += len(submission.body)
        self.doctypes[f"{submission.namespace}.{submission.doctype}"] += 1
        self.retried += outcome.attempts > 1
        self.repeated_attempts += outcome.attempts - 1
        expected = "duplicate" if submission.was_acknowledged else submission.expected
        if outcome.is_given_up or outcome.status is None:
            self.given_up += 1
            return expected
        self.statuses[outcome.status] += 1
        if outcome.status != 200:
            self.unexpected += outcome.status != submission.expected_status
        elif expected == "duplicate":
            self.duplicates += 1
        elif expected == "invalid":
            self.errors[submission.code] += submission.expected_status == 200
        else:
            submission.was_acknowledged = True
            self.rows[submission.table] += 1
        return expected

    def lines(self) -> list[str]:
        """The tally for a person."""
        answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(self.statuses.items())) or "none"
        kinds = ", ".join(f"{count:,} {name}" for name, count in self.doctypes.most_common())
        said = [
            f"sent        {self.sent:,} pings of {self.clients:,} clients in {self.seconds:,.1f} s "
            f"({self.rate:,.1f}/s), {_mebibytes(self.json_bytes)} of JSON, {_mebibytes(self.wire_bytes)} compressed",
            f"answered    {answers}",
            f"retried     {self.retried:,} pings, {self.repeated_attempts:,} more attempts",
            f"given up    {self.given_up:,}",
        ]
        if self.unexpected:
            said.append(f"refused     {self.unexpected:,} that should have been taken")
        said += [f"by type     {kinds or 'none'}", "expected in the lake"]
        said += [f"{_rows(count)} in {table}" for table, count in sorted(self.rows.items())]
        if errors := self.errors.total():
            reasons = ", ".join(f"{count:,} {code}" for code, count in sorted(self.errors.items()) if count)
            said.append(f"{_rows(errors)} in {ERRORS_TABLE} ({reasons})")
        if self.duplicates:
            said.append(f"{self.duplicates:>10,} sent twice, which are in their tables once")
        return said


class Record:
    """A file with one JSON line for each delivery that has ended, in the order of their ends.

    `{"document_id", "namespace", "doctype", "version", "expected", "code", "status", "attempts", "acknowledged_at"}`;
    `acknowledged_at` is the time of a 200 (UTC), null for everything else.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        try:
            self._file: IO[bytes] = path.open("wb", buffering=0)
        except OSError as error:
            raise BadConfig(
                f"--record {path}: {error.strerror}; name a file in a folder that can be written"
            ) from error

    def write(self, delivery: Delivery, expected: str, outcome: Outcome) -> None:
        submission = delivery.submission
        is_acknowledged = outcome.status == 200 and not outcome.is_given_up
        line = {
            "document_id": submission.document_id,
            "namespace": submission.namespace,
            "doctype": submission.doctype,
            "version": submission.version,
            "expected": expected,
            "code": submission.code or None,
            "status": outcome.status,
            "attempts": outcome.attempts,
            "acknowledged_at": utc(self._clock.time_ns()).isoformat() if is_acknowledged else None,
        }
        self._file.write(orjson.dumps(line) + b"\n")

    def close(self) -> None:
        self._file.close()


def _rows(count: int) -> str:
    return f"{count:>10,} {'row' if count == 1 else 'rows'}"


def _mebibytes(count: int) -> str:
    return f"{count / 1024**2:,.1f} MiB"
