"""What a day's replay knows of each delivery, and which rows of a table must go because of it.

A delivery is a document id at a time of receipt. It *won* (its document is what the table shall hold), it is a *repeat*
of one that won, or it *failed*. Of the rows that are there

- the row of any delivery goes: the winner's comes anew, the others' should not have been there;
- a row of a winner's id goes too when it is later, within the window: the first delivery counts (unless its own day is
  still to be replayed, which then finds it a repeat);
- but a winner gives way to an *earlier* row within the window whose delivery is not part of the replay (`outlived`).

Rows of `<namespace>.unregistered` are told apart by their doctype as well.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

REPLACED, REMOVED = "replaced", "removed"
KEY_COLUMNS = ("document_id", "submission_timestamp")
UNREGISTERED_KEY_COLUMNS = (*KEY_COLUMNS, "document_type")


class Deliveries:
    """Deliveries of one doctype on one day; those of other doctypes whose rows are in the same table can be added."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._times_us = array("q")
        self._winners = bytearray()

    def add(self, document_id: str, time_us: int, is_winner: bool) -> None:
        self._ids.append(document_id)
        self._times_us.append(time_us)
        self._winners.append(is_winner)

    def demote(self, document_ids: set[str]) -> None:
        """Winners of these ids are repeats."""
        for number, document_id in enumerate(self._ids):
            if document_id in document_ids:
                self._winners[number] = False

    def table(self, suffix: str = "") -> pa.Table:
        """Columns `key` (id and `suffix`), `time_us` and `is_winner`."""
        ids = pa.array(self._ids, pa.string())
        if suffix:
            ids = pc.binary_join_element_wise(ids, suffix, "")
        winners = pa.array(self._winners, pa.uint8()).cast(pa.bool_())
        return pa.table({"key": ids, "time_us": pa.array(self._times_us, pa.int64()), "is_winner": winners})


def suffix_of(doctype: str) -> str:
    return f"/{doctype}"


def keyed(rows: pa.Table) -> pa.Table:
    """`key` and `time_us` of rows with KEY_COLUMNS or UNREGISTERED_KEY_COLUMNS."""
    key = rows.column("document_id").cast(pa.string())
    if "document_type" in rows.column_names:
        doctypes = rows.column("document_type").cast(pa.string())
        key = pc.binary_join_element_wise(key, doctypes, "/")
    return pa.table({"key": key, "time_us": micros(rows.column("submission_timestamp"))})


def micros(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps as µs since the epoch."""
    return times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())


class Judge:
    """Decides over rows of one table, by the day's deliveries that may have rows there."""

    def __init__(self, deliveries: Sequence[pa.Table], window_us: int, spared_us: tuple[int, int]) -> None:
        """Rows of times in `spared_us` (from, and until, not included) do not go for being later than a winner."""
        found = pa.concat_tables(deliveries).combine_chunks()
        self._exact = pairs(found)
        won = found.filter(found.column("is_winner"))
        self._winners = won.column("key").combine_chunks()
        self._won_us = won.column("time_us").combine_chunks()
        self._window_us = window_us
        self._spared_us = spared_us

    def __call__(self, rows: pa.Table) -> pa.Array:
        """For each row why it goes: REPLACED by a winner of its id, else REMOVED; NULL when it stays."""
        rows = keyed(rows)
        place = self._place(rows)
        goes = pc.or_(self._is_later(rows, place), pc.is_in(pairs(rows), self._exact))
        reasons = pc.if_else(place.is_valid(), REPLACED, REMOVED)
        return pc.if_else(goes, reasons, pa.scalar(None, pa.string()))

    def displaced(self, rows: pa.Table) -> pa.Table:
        """Those of `rows` (`key` and `time_us`) that go for being later than a winner, and are of no delivery."""
        is_others = pc.invert(pc.is_in(pairs(rows), self._exact))
        return rows.filter(pc.and_(self._is_later(rows, self._place(rows)), is_others))

    def _place(self, rows: pa.Table) -> pa.Array:
        """Which winner each row has the id of."""
        return pc.index_in(rows.column("key").combine_chunks(), self._winners)

    def _is_later(self, rows: pa.Table, place: pa.Array) -> pa.Array:
        times = rows.column("time_us").combine_chunks()
        after_us = pc.subtract(times, self._won_us.take(place))
        is_later = pc.and_(pc.greater(after_us, 0), pc.less_equal(after_us, self._window_us))
        is_spared = pc.and_(pc.greater_equal(times, self._spared_us[0]), pc.less(times, self._spared_us[1]))
        return pc.fill_null(pc.and_(is_later, pc.invert(is_spared)), False)


def outlived(chunk: pa.Table, held: pa.Table, deliveries: Iterable[pa.Table], window_us: int) -> set[str]:
    """Keys of new rows that give way: `held` has an earlier row of the key, within the window, that is none of the
    day's deliveries. `chunk` and `held` have `key` and `time_us`."""
    place = pc.index_in(held.column("key").combine_chunks(), chunk.column("key").combine_chunks())
    ahead_us = pc.subtract(
        chunk.column("time_us").combine_chunks().take(place), held.column("time_us").combine_chunks()
    )
    is_earlier = pc.and_(pc.greater(ahead_us, 0), pc.less_equal(ahead_us, window_us))
    earlier = held.filter(pc.fill_null(is_earlier, False))
    if not earlier.num_rows:
        return set()
    ours = pa.concat_tables(deliveries).combine_chunks()
    others = earlier.filter(pc.invert(pc.is_in(pairs(earlier), pairs(ours))))
    return set(others.column("key").to_pylist())


def pairs(rows: pa.Table) -> pa.Array:
    """Key and time of each row as one text."""
    pairs = pc.binary_join_element_wise(rows.column("key"), rows.column("time_us").cast(pa.string()), "@")
    return pairs.combine_chunks() if isinstance(pairs, pa.ChunkedArray) else pairs
