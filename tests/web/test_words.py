"""How samples become rates, delays, lines, sentences, and numbers that a person reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.log.port import TopicPartition
from catchment.observation import PartitionState, Series, ServiceState, Snapshot
from catchment.service import RunFile
from catchment.units import size
from catchment.web import drawing, formats, history
from catchment.web.flow import flow
from catchment.web.history import History, Point, Sample
from catchment.web.running import QueryCounts
from catchment.web.sampling import Picture
from catchment.web.settings import ConsoleSettings
from catchment.web.verdict import Verdict, verdict
from tests.web.scene import Scene

RAW = TopicPartition("raw", 0)
QUIET = QueryCounts(0, 0, None)
ACCEPTED: Series = ("catchment_edge_requests_total", (("status", "200"),))


def service(kind: str, state: str = "up", metrics: Mapping[Series, float] | None = None, **run: int) -> ServiceState:
    place = RunFile(f"{kind}-0", kind, run.get("pid", 1), run.get("started_ns", 0), "127.0.0.1", 0, 1)
    return ServiceState(place, state, (), 0, metrics or {})


def look(at_s: float, raw: int, loaded: int, *services: ServiceState, errors: int = 0) -> Snapshot:
    parts = (
        PartitionState(RAW, 0, raw, loaded),
        PartitionState(TopicPartition("errors", 0), 0, errors, None),
    )
    return Snapshot(round(at_s * 1e9), services or (service("edge"), service("loader")), parts, 0, 0)


def samples_of(*looks: Snapshot) -> tuple[Sample, ...]:
    kept = History(1.0)
    return [kept.take(snapshot, snapshot.at_ns / 1e9) for snapshot in looks][-1]


def say(*looks: Snapshot) -> Verdict:
    return verdict(looks[-1], samples_of(*looks))


def test_a_rate_is_the_mean_of_the_last_ten_seconds() -> None:
    samples = samples_of(*(look(second, raw=second * second, loaded=0) for second in range(31)))
    assert history.rate(samples, "raw") == pytest.approx((30**2 - 20**2) / 10)
    assert history.rates(samples, "raw")[0].value == pytest.approx(1.0)


def test_one_sample_has_no_rate() -> None:
    samples = samples_of(look(0, 5, 0))
    assert history.rate(samples, "raw") == 0
    assert history.rates(samples, "raw") == []


def test_no_more_than_five_minutes_are_kept() -> None:
    samples = samples_of(*(look(second, second, 0) for second in range(1000)))
    assert samples[-1].at_s - samples[0].at_s <= history.SPAN_S + history.RATE_WINDOW_S + 2
    assert history.rates(samples, "raw")[0].age_s <= history.SPAN_S


def test_the_delay_is_the_age_of_the_oldest_ping_that_waits() -> None:
    assert history.delay_s(samples_of(look(0, 10, 0), look(4, 20, 10), look(7, 30, 10))) == pytest.approx(7)
    assert history.delay_s(samples_of(look(0, 10, 10), look(4, 20, 20))) == 0
    assert history.delay_s(samples_of(look(0, 10, 0), look(4, 20, 5))) is None


def test_a_restarted_service_makes_no_leap_and_no_fall() -> None:
    def edge(count: float, pid: int, started_s: int) -> ServiceState:
        return service("edge", metrics={ACCEPTED: count}, pid=pid, started_ns=started_s * 10**9)

    samples = samples_of(
        look(100, 0, 0, edge(5000, 1, 1)),
        look(101, 0, 0, edge(5010, 1, 1)),
        look(102, 0, 0, service("edge", "down", pid=1, started_ns=10**9)),
        look(103, 0, 0, edge(7, 2, 102)),
        look(104, 0, 0, edge(9, 2, 102)),
    )
    assert [sample.totals.get("accepted") for sample in samples] == [0, 10, 10, 17, 19]


def test_a_service_that_was_silent_for_a_moment_makes_no_leap() -> None:
    loud = service("edge", metrics={ACCEPTED: 5000})
    samples = samples_of(look(1, 0, 0, loud), look(2, 0, 0, service("edge", "silent")), look(3, 0, 0, loud))
    assert [sample.totals.get("accepted", 0) for sample in samples] == [0, 0, 0]


def test_the_verdict_names_what_is_wrong_before_what_is_well() -> None:
    assert say(look(0, 1, 1, service("console"))).level == "off"
    assert say(look(0, 1, 1, service("edge", "down"), service("loader"))).headline == "Edge-0 is down."
    assert say(look(0, 1, 1, service("loader"))).headline == "The edge does not run."
    behind = say(*(look(second, 100, 50) for second in range(0, 100, 2)))
    assert behind.level == "warning"
    assert behind.headline == "The lake is more than 98 s behind."
    assert say(look(0, 0, 0)).step == "catchment simulate"
    assert say(look(0, 100, 100), look(5, 200, 200, errors=50)).headline == "50% of the pings are refused."
    well = say(look(0, 100, 100), look(2, 140, 120), look(4, 180, 160))
    assert well == Verdict("ok", "All is well.", "20.0 pings a second arrive and can be queried 2.0 s later.")
    assert say(look(0, 5, 5), look(20, 5, 5)).text == "Nothing arrives at the moment."


def test_a_picture_of_nothing_can_be_drawn() -> None:
    snapshot = Snapshot(0, (), (), 0, 0)
    shown = flow(Picture(0, snapshot, samples_of(snapshot)), QUIET)
    assert [stage.value for stage in shown.stages] == ["0"] * 6
    assert all(not curve.line.stroke for chart in shown.charts for curve in chart.curves)


def test_a_table_of_a_chart_has_a_row_each_ten_seconds() -> None:
    looks = [look(second, second * 3, second * 3) for second in range(61)]
    shown = flow(Picture(0, looks[-1], samples_of(*looks)), QUIET)
    assert [row[0] for row in shown.charts[0].rows][:3] == ["00:01:00", "00:00:50", "00:00:40"]
    assert shown.charts[0].rows[0][1:] == ("3.0", "3.0", "0")


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 1e9)), min_size=2), st.floats(1, 1e9))
def test_a_line_stays_in_its_box(places: list[tuple[float, float]], top: float) -> None:
    points = [Point(age, value) for age, value in sorted(places, reverse=True)]
    stroke = drawing.line(points, top, history.SPAN_S).stroke
    numbers = [float(number) for number in stroke.replace("M", " ").replace("L", " ").split()]
    assert all(0 <= x <= drawing.WIDTH for x in numbers[::2])
    assert all(0 <= y <= drawing.HEIGHT for y in numbers[1::2])


@given(st.floats(0, 1e12))
def test_a_ceiling_is_a_round_number_just_above(value: float) -> None:
    top = drawing.ceiling(value)
    assert value <= top <= max(value * 2.5, 1) * (1 + 1e-9)
    assert f"{top:.0f}".rstrip("0") in ("1", "2", "5")


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (formats.count(1234567), "1,234,567"),
        (formats.rate(0), "0"),
        (formats.rate(0.001), "<0.01"),
        (formats.rate(0.05), "0.05"),
        (formats.rate(42.46), "42.5"),
        (formats.rate(99.96), "100"),
        (formats.rate(12345.6), "12,346"),
        (size(0), "0 B"),
        (size(1536), "1.5 KiB"),
        (size(5 * 1024**5), "5,120.0 TiB"),
        (formats.duration(0.0042), "4.2 ms"),
        (formats.duration(0.25), "0.2 s"),
        (formats.duration(42.4), "42 s"),
        (formats.duration(120), "2 min"),
        (formats.duration(5400), "90 min"),
        (formats.duration(3 * 3600), "3 h"),
        (formats.duration(400 * 86400), "400 d"),
        (formats.age(0, 500_000_000), "now"),
        (formats.age(0, 90_000_000_000), "90 s ago"),
        (formats.age(60_000_000_000, 0), "60 s ahead"),
        (formats.clock_time(0, 1), "00:00:00"),
        (formats.clock_time(0, 86_400 * 10**9), "1970-01-01 00:00:00"),
        (formats.timestamp(1_500_000), "1970-01-01 00:00:00.001 UTC"),
        (formats.short(12_345_678), "12.3 M"),
        (formats.short(0.5), "0.5"),
        (formats.shortened("abcdef", 4), "abc…"),
    ],
)
def test_numbers_and_times_are_written_for_people(shown: str, text: str) -> None:
    assert shown == text


@given(st.text())
def test_a_foreign_text_is_always_plain(text: str) -> None:
    shown = formats.plain(text)
    assert not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\n\r\t\0\x1b")


def test_a_look_that_fails_keeps_the_last_picture_and_says_why(scene: Scene, tmp_path: Path) -> None:
    scene.run()
    scene.until(lambda: "Nothing runs yet." in scene.get("/").text)
    (tmp_path / "run" / "edge-0.json").mkdir()
    page = scene.until(lambda: (found := scene.get("/live")) and "cannot be looked at" in found.text and found)
    assert "Nothing runs yet." in page.text
    assert scene.told.getvalue().count("look_failed") == 1
    (tmp_path / "run" / "edge-0.json").rmdir()
    scene.until(lambda: "cannot be looked at" not in scene.get("/live").text)


def test_settings_have_room_for_a_laptop() -> None:
    assert (ConsoleSettings().host, ConsoleSettings().port) == ("127.0.0.1", 8080)
