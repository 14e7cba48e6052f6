"""Log events: whatever the values, one event is one line that can be read back."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.events import Events

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ ]*)')


def read_back(line: str) -> dict[str, str]:
    return {name: json.loads(text) if text.startswith('"') else text for name, text in FIELD.findall(line)}


def test_an_event_is_a_line_with_time_level_service_name_and_fields() -> None:
    stream = io.StringIO()
    Events("edge", stream).info("segment_sealed", topic="raw", partition=3, took_s=0.123456789)
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info edge segment_sealed topic=raw partition=3 took_s=0.123457\n"
    assert re.fullmatch(pattern, stream.getvalue())


def test_levels_are_named() -> None:
    stream = io.StringIO()
    events = Events("loader", stream)
    events.warning("gap_met")
    events.error("step_failed")
    assert [line.split(" ")[1] for line in stream.getvalue().splitlines()] == ["warning", "error"]


def test_without_a_stream_events_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Events("edge").info("started")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" info edge started\n")


def test_an_event_that_nobody_can_take_does_not_stop_the_work() -> None:
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as stream:
        Events("edge", stream).error("disk_filled")
        Events("edge", stream).info("went_on")
        with pytest.raises(OSError, match="No space left"):
            stream.write("the disk is full")


@given(st.text(), st.text())
def test_any_text_stays_on_its_line_and_reads_back(first: str, second: str) -> None:
    stream = io.StringIO()
    Events("edge", stream).info("met", first=first, second=second)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert read_back(text.rstrip("\n")) == {"first": first, "second": second}
