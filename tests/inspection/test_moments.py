"""Times as people write them."""

from __future__ import annotations

import pytest

from catchment.clock import utc
from catchment.errors import Malformed
from catchment.ingestion.inspection.moments import moment_ns, sql_text

NOW_NS = 1_790_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("6h", 21_600), ("7d", 604_800), ("2w", 1_209_600), ("now", 0)]
)
def test_a_length_of_time_is_that_long_ago(text: str, seconds: int) -> None:
    assert moment_ns(text, NOW_NS) == NOW_NS - seconds * 10**9


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-25", "2026-11-25T00:00:00+00:00"),
        ("2026-11-25T10:20:30", "2026-11-25T10:20:30+00:00"),
        ("2026-11-25T10:20:30+02:00", "2026-11-25T08:20:30+00:00"),
    ],
)
def test_a_date_is_in_utc_unless_it_says_otherwise(text: str, written: str) -> None:
    assert utc(moment_ns(text, NOW_NS)).isoformat() == written


@pytest.mark.parametrize("text", ["", "yesterday", "5", "5 parsecs", "2026-13-01", "9" * 40 + "d"])
def test_what_is_no_time_is_refused_with_advice(text: str) -> None:
    with pytest.raises(Malformed, match="30m, 6h or 7d"):
        moment_ns(text, NOW_NS)


def test_a_text_cannot_leave_its_quotes() -> None:
    assert sql_text("a' or 1=1 --") == "'a'' or 1=1 --'"
