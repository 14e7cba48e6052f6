"""The book: pages in any order and any portions give the same counts as all at once; old minutes roll up exactly."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.database.database import Database, open_database
from catchment.database.settings import DatabaseSettings
from catchment.database.tables import COUNTS, ledger, ledger_details
from catchment.errors import Fenced
from catchment.ingestion.ledger.book import DAY_S, HOUR_S, SUBTRACTED, Book, Entry, Page
from catchment.ingestion.ledger.headings import Heading

DAY_0 = 20_000 * DAY_S
HEADINGS = st.builds(
    Heading,
    st.integers(0, 3 * DAY_S // 60 - 1).map(lambda minute: DAY_0 + 60 * minute),
    st.sampled_from(["", "telemetry"]),
    st.sampled_from(["main", "event"]),
)
DETAILS = {"stored": ["telemetry.main_v4", "telemetry.event_v4"], "errors": ["json_invalid", "schema_violation"]}
ENTRIES: st.SearchStrategy[Entry] = st.sampled_from(COUNTS).flatmap(
    lambda kind: st.tuples(HEADINGS, st.just(kind), st.sampled_from(DETAILS.get(kind, [""])))
)
RECORDS = st.lists(st.tuples(st.sampled_from(["raw/0", "raw/1", "table a"]), ENTRIES), max_size=60)


def rows(database: Database) -> tuple[list[object], list[object]]:
    """All that stands in the book, but for the times of changes."""
    with database.read() as connection:
        columns = [column for column in ledger.c if column.name != "changed_s"]
        counts = connection.execute(sa.select(*columns).order_by(*list(ledger.primary_key)))
        details = connection.execute(
            sa.select(ledger_details).where(ledger_details.c.records != 0).order_by(*list(ledger_details.primary_key))
        )
        return [tuple(row) for row in counts], [tuple(row) for row in details]


def page_of(records: list[tuple[str, Entry]], positions: dict[str, int]) -> Page:
    """A page of these records, and `positions` moved on."""
    page = Page()
    for source, entry in records:
        before, at = page.moves.get(source, (positions.get(source), positions.get(source, 0)))
        page.moves[source] = (before, at + 1)
        page.counts[entry] += 1
    positions.update({source: after for source, (_, after) in page.moves.items()})
    return page


@settings(max_examples=40)
@given(records=RECORDS, dice=st.randoms(use_true_random=False))
def test_any_interleaving_of_sources_gives_what_counting_at_once_gives(records, dice) -> None:  # type: ignore[no-untyped-def]
    """The sources' own order is kept; how they interleave, where pages end and when minutes are rolled up is chance."""
    with tempfile.TemporaryDirectory() as folder:
        once = open_database(DatabaseSettings(url="sqlite:once.db"), Path(folder))
        mixed = open_database(DatabaseSettings(url="sqlite:mixed.db"), Path(folder))
        Book(once).add(page_of(records, {}), 1)
        by_source: dict[str, list[tuple[str, Entry]]] = {}
        for record in records:
            by_source.setdefault(record[0], []).append(record)
        positions: dict[str, int] = {}
        book = Book(mixed)
        while waiting := [found for found in by_source.values() if found]:
            taken = [dice.choice(waiting).pop(0)]
            while dice.random() < 0.7 and (more := [found for found in waiting if found]):
                taken.append(dice.choice(more).pop(0))
            book.add(page_of(taken, positions), 1)
            if dice.random() < 0.3:
                minutes_s = DAY_0 + dice.randrange(3 * DAY_S)
                book.roll_up(minutes_s, minutes_s - dice.randrange(2 * DAY_S))
        assert book.positions().items() >= positions.items()
        for found in (once, mixed):
            Book(found).roll_up(DAY_0 + 3 * DAY_S, DAY_0 + 3 * DAY_S)
        assert rows(once) == rows(mixed)
        once.close()
        mixed.close()


def test_a_page_that_starts_elsewhere_is_refused_whole(each_database: Database) -> None:
    book = Book(each_database)
    entry = (Heading(DAY_0, "telemetry", "main"), "accepted", "")
    book.add(Page(Counter({entry: 3}), {"raw/0": (None, 3)}), 1)
    for before in (None, 2, 4):
        page = Page(Counter({entry: 1}), {"raw/1": (None, 1), "raw/0": (before, 9)})
        with pytest.raises(Fenced, match=r"counting raw/0 from (None|2|4): the database has it counted up to 3"):
            book.add(page, 2)
    assert book.positions() == {"raw/0": 3}
    assert rows(each_database)[0] == [(DAY_0, 60, "telemetry", "main", 3, 0, 0, 0, 0, 0, 0, 0, 3)]


def test_the_balance_is_what_is_not_accounted_for(each_database: Database) -> None:
    heading = Heading(DAY_0, "telemetry", "main")
    counts = Counter({(heading, "accepted", ""): 20, (heading, "archived", ""): 5, (heading, "decoded", ""): 7})
    counts.update({(heading, kind, "x"): 3 for kind in SUBTRACTED})
    Book(each_database).add(Page(counts, {"raw/0": (None, 1)}), 1)
    assert rows(each_database)[0] == [(DAY_0, 60, "telemetry", "main", 20, 5, 7, 3, 3, 3, 3, 3, 5)]


def test_counts_of_a_whole_table_replace_what_was_known_of_it(each_database: Database) -> None:
    book = Book(each_database)
    first, second = Heading(DAY_0, "telemetry", "main"), Heading(DAY_0 + 60, "telemetry", "main")
    other = (first, "stored", "telemetry.main_v5")
    known = Counter({(first, "stored", "telemetry.main_v4"): 5, other: 2})
    book.add(Page(known, {"table a": (None, 1)}), 1)
    book.roll_up(DAY_0 + HOUR_S, 0)
    whole = Counter({(first, "stored", "telemetry.main_v4"): 4, (second, "stored", "telemetry.main_v4"): 7})
    book.add(Page(whole, {"table a": (1, 2)}, whole={("stored", "telemetry.main_v4")}), 2)
    counts, details = rows(each_database)
    assert [(*row[:4], row[7]) for row in counts] == [(DAY_0, HOUR_S, "telemetry", "main", 13)]
    assert [row[5:] for row in details] == [("telemetry.main_v4", 11), ("telemetry.main_v5", 2)]


def test_what_arrives_late_is_added_to_the_hour_or_day_that_has_its_minute(each_database: Database) -> None:
    book = Book(each_database)
    entry = (Heading(DAY_0 + 90 * 60, "telemetry", "main"), "accepted", "")
    for number, (minutes_s, hours_s, slot) in enumerate(
        [
            (DAY_0, DAY_0, (DAY_0 + 90 * 60, 60)),
            (DAY_0 + 3 * HOUR_S, DAY_0, (DAY_0 + HOUR_S, HOUR_S)),
            (DAY_0 + 2 * DAY_S, DAY_0 + DAY_S, (DAY_0, DAY_S)),
        ]
    ):
        book.roll_up(minutes_s, hours_s)
        book.add(Page(Counter({entry: 1}), {"raw/0": (number or None, number + 1)}), 1)
        assert [row[:5] for row in rows(each_database)[0]] == [(*slot, "telemetry", "main", number + 1)]
