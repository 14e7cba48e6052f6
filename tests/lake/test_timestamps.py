"""Texts that are timestamps and dates, and texts that are none; the loop in C decides as the one in Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rebuilding import DATES, EPOCH, GATHERERS, MOMENTS

from catchment.lake.moments import read_date, read_timestamp
from catchment.schemas.shape import shape_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
EXACT = {
    "2026-11-25T12:00:00Z": NOON,
    "2026-11-25t12:00:00.000z": NOON,
    "2026-11-25T12:00:00+00:00": NOON,
    "2026-11-25T12:00:00.000001Z": NOON + timedelta(microseconds=1),
    "2026-11-25T12:00:00.1000000Z": NOON + timedelta(milliseconds=100),
    "1969-12-31T23:59:59.9Z": EPOCH - timedelta(milliseconds=100),
    "0001-01-01T00:00:00Z": datetime.min.replace(tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": datetime.max.replace(tzinfo=UTC),
    "2000-02-29T00:00:00Z": datetime(2000, 2, 29, tzinfo=UTC),
}
MORE = {
    "2026-11-25T14:00:00+02:00": NOON,
    "2026-11-25T00:01:00-11:59": NOON,
    "2026-11-25T12:00:00-00:00": NOON,
    "2026-11-25T12:00:00.0000009Z": NOON,
    "0001-01-01T00:30:00+00:30": datetime.min.replace(tzinfo=UTC),
}
NONE = (
    *("", "2026-11-25", "2026-11-25T12:00Z", "2026-11-25T12:00:00", "2026-11-25 12:00:00Z", "2026-11-25T12:00:00.Z"),
    *("2026-11-25T24:00:00Z", "2026-11-25T12:60:00Z", "2016-12-31T23:59:60Z", "2026-11-25T12:00:00+24:00"),
    *("2026-11-25T12:00:00+02:60", "2026-11-25T12:00:00+0200", "2026-11-25T12:00:00ZZ", "2026-11-25T12:00:00Z\n"),
    *("1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "0000-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "+026-11-25T12:00:00Z", "２０２６-11-25T12:00:00Z"),
    *("2026-11-25T12:00:00,5Z", "2026-11-25T12:00:00 Z", "10000-01-01T00:00:00Z", "2026-11-25T-1:00:00Z"),
)


@pytest.mark.parametrize("text", EXACT)
def test_a_timestamp_in_utc_says_no_more_than_its_instant(text: str) -> None:
    assert read_timestamp(text) == ((EXACT[text] - EPOCH) // timedelta(microseconds=1), False)


@pytest.mark.parametrize("text", MORE)
def test_a_timestamp_with_an_offset_or_a_finer_fraction_says_more(text: str) -> None:
    assert read_timestamp(text) == ((MORE[text] - EPOCH) // timedelta(microseconds=1), True)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_timestamp_is_none(text: str) -> None:
    assert read_timestamp(text) is None


@given(st.datetimes(min_value=datetime(1, 1, 1)))
def test_what_python_writes_is_read_as_the_same_instant(moment: datetime) -> None:
    us = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    assert read_timestamp(moment.isoformat() + "Z") == (us, False)


@given(st.dates())
def test_every_date_is_a_day(day: date) -> None:
    assert read_date(day.isoformat()) == (day - date(1970, 1, 1)).days


@given(st.lists(st.sampled_from([*EXACT, *MORE, *NONE]) | MOMENTS | DATES | st.text(max_size=25)))
def test_each_gatherer_reads_the_same(texts: list[str]) -> None:
    shape = shape_of(
        {"properties": {key: {"type": "string", "format": key} for key in ("date-time", "date")}},
    )
    found = []
    for gather in GATHERERS:
        gatherer = gather(shape)
        left = [gatherer.append({"date-time": text, "date": text}) for text in texts]
        found.append((left, [array.cast(array.type).to_pylist() for array in gatherer.take()]))
    assert all(one == found[0] for one in found)
    instants, days = found[0][1]
    for text, instant, day in zip(texts, instants, days, strict=True):
        read = read_timestamp(text)
        assert instant == (read and EPOCH + timedelta(microseconds=read[0]))
        assert (day and day.isoformat()) == (None if read_date(text) is None else text)
