"""Figures of doctypes are the same from every database that the ledger may be in."""

from __future__ import annotations

from collections import Counter

from catchment.database.database import Database
from catchment.ingestion.ledger.book import Book, Page
from catchment.ingestion.ledger.headings import Heading
from catchment.web.catalogue.figures import Figures, detailed, figures, steps

NOW_S = 1_800_000_000
HOUR_S = 3_600


def test_figures_sum_the_time_asked_and_know_the_latest_of_all(each_database: Database) -> None:
    book = Book(each_database)
    counts = [
        (NOW_S - 60, "main", {"accepted": 5, "stored": 3, "errors": 2}),
        (NOW_S - 2 * HOUR_S, "main", {"accepted": 10, "stored": 10}),
        (NOW_S - 30 * HOUR_S, "main", {"accepted": 100, "stored": 100}),
        (NOW_S - 30 * HOUR_S, "event", {"accepted": 7, "stored": 7}),
    ]
    for number, (begins_s, doctype, kinds) in enumerate(counts):
        heading = Heading(begins_s // 60 * 60, "telemetry", doctype)
        entries = Counter({(heading, kind, f"of {kind}"): count for kind, count in kinds.items()})
        book.add(Page(entries, {"raw/0": (number or None, number + 1)}), NOW_S)
    found = figures(each_database, NOW_S - 24 * HOUR_S, NOW_S)
    assert found["telemetry", "main"] == Figures(15, 13, 2, NOW_S)
    assert found["telemetry", "main"].error_share == 2 / 15
    event = found["telemetry", "event"]
    assert (event.accepted, event.error_share) == (0, None)
    assert NOW_S - 31 * HOUR_S < event.latest_s <= NOW_S - 29 * HOUR_S
    day = steps(each_database, "telemetry", "main", "1d", NOW_S)
    assert [step.pings for step in day if step.pings] == [{"stored": 10}, {"stored": 3, "errors": 2}]
    assert (len(day), day[0].seconds, day[-1].begin_ns // 10**9) == (96, 900, NOW_S // 900 * 900)
    week = steps(each_database, "telemetry", "main", "7d", NOW_S)
    assert sum(step.pings.get("stored", 0) for step in week) == 113
    told = detailed(each_database, "telemetry", "main", NOW_S - 24 * HOUR_S, NOW_S)
    assert (told.codes, told.stored) == ((("of errors", 2),), {"of stored": 13})
