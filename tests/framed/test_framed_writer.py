"""What the framed lake's writer promises beside crashes: places, ages, bounds, waiting, expiry."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from catchment.clock import ManualClock, SystemClock
from catchment.config import load
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.framed.ranges import plan_key
from catchment.ingestion.framed.settings import FramedSettings
from catchment.ingestion.framed.writer import GROUP, FramedWriter
from catchment.log.port import TopicPartition
from catchment.message import decode
from tests.framed import barn

HOUR_S = 3600
SOURCE = TopicPartition("decoded", 0)
WITHIN_S = 30.0


@contextmanager
def opened(home: Path, clock: ManualClock | None = None, **options: object) -> Iterator[FramedWriter]:
    """A writer that has joined its group, over what `barn.append` has written."""
    registry = barn.write_schemas(home)
    clock = clock or ManualClock(barn.START_NS)
    log, objects = barn.open_barn(home, clock)
    settings = FramedSettings(**options)  # type: ignore[arg-type]
    events = Events("framed", io.StringIO())
    writer = FramedWriter(settings, "barn", log, objects, lambda: registry, clock, events)
    writer.open()
    try:
        yield writer
    finally:
        writer.close()
        log.close()


def write(home: Path, *payloads: bytes) -> None:
    log, _ = barn.open_barn(home)
    barn.append(log, list(payloads))
    log.close()


def put_all(home: Path, *payloads: bytes, **options: object) -> dict[str, list[bytes]]:
    """What the lake holds an hour after these documents; their keys without the file."""
    write(home, *payloads)
    clock = ManualClock(barn.START_NS)
    with opened(home, clock, **options) as writer:
        writer.turn(0)
        clock.advance(HOUR_S)
        writer.turn(0)
    return {key.rpartition("/")[0]: payloads for key, payloads in barn.held(home).items()}


def test_c46_dimension_values_are_made_fit_or_unknown_or_other(tmp_path: Path) -> None:
    release = {"appName": "Firefox", "appVersion": "64.0"}
    documents = (
        barn.decoded(1, appUpdateChannel="nightly-cck-example", **release),
        barn.decoded(2, **release),
        barn.decoded(3, appUpdateChannel="mine", **release),
        barn.decoded(4, appName="Other", appUpdateChannel="beta", appVersion="é/.."),
        barn.decoded(5, doctype="..", appUpdateChannel="beta", appVersion="v" * 101),
    )
    there = put_all(tmp_path, *documents, channels=("nightly-cck-example", "beta"))
    day = "20260921"
    assert there == {
        f"{day}/telemetry/mystery/Firefox/nightly_cck_example/64.0": [documents[0]],
        f"{day}/telemetry/mystery/Firefox/UNKNOWN/64.0": [documents[1]],
        f"{day}/telemetry/mystery/Firefox/OTHER/64.0": [documents[2]],
        f"{day}/telemetry/mystery/OTHER/beta/___..": [documents[3]],
        f"{day}/telemetry/_./UNKNOWN/beta/OTHER": [documents[4]],
    }


def test_c47_one_copy_for_each_experiment_that_is_allowed(tmp_path: Path) -> None:
    experiments = {
        "foo": {"branch": "123", "type": "listed"},
        "bar": {"branch": "1", "type": "not listed"},
        "blocked": {"branch": "2"},
        "plain": {"branch": "a/b"},
    }
    document = barn.decoded(1, doctype="main", body={"environment": {"experiments": experiments}})
    without = barn.decoded(2, doctype="main", body={"environment": {}})
    options = {"cohorts": True, "cohort_types": ("listed",), "cohort_blocklist": ("blocked",)}
    there = put_all(tmp_path, document, without, **options)
    assert list(there.values()) == [[document, without]]
    copies = {key.rpartition("/")[0]: payloads for key, payloads in barn.held(tmp_path, "framed-cohorts").items()}
    day = "20260921/telemetry/main"
    assert copies == {f"{day}/foo/123": [document], f"{day}/plain/a_b": [document]}


def test_c48_an_hour_after_its_first_document_an_object_is_put_with_the_next_turn(tmp_path: Path) -> None:
    write(tmp_path, barn.decoded(1))
    clock = ManualClock(barn.START_NS)
    with opened(tmp_path, clock) as writer:
        writer.turn(0)
        clock.advance(HOUR_S - 1)
        writer.turn(0)
        assert barn.held(tmp_path) == {}
        clock.advance(1)
        writer.turn(0)
        (key,) = barn.held(tmp_path)
    assert key == f"20260921/telemetry/mystery/UNKNOWN/UNKNOWN/UNKNOWN/barn.0-{0:020d}.heka.zst"


def test_documents_with_a_schema_are_stored_when_a_setting_names_them(tmp_path: Path) -> None:
    order, other = barn.decoded(1, "shop", "order"), barn.decoded(2, "shop", "refund")
    assert list(put_all(tmp_path / "none", order, unregistered=False)) == []
    named = put_all(tmp_path / "named", order, other, doctypes=("shop.ord*",), unregistered=False)
    assert list(named.values()) == [[order]]
    both = put_all(tmp_path / "both", order, other, doctypes=("*.order",))
    assert sorted(both.values()) == sorted([[order], [other]])


def test_a_range_without_a_stored_document_moves_the_checkpoint_and_leaves_no_object(tmp_path: Path) -> None:
    assert put_all(tmp_path, barn.decoded(1, "shop", "order")) == {}
    assert list((tmp_path / "objects").rglob("*.zst")) == []
    log, _ = barn.open_barn(tmp_path)
    assert log.committed(GROUP, SOURCE) == 1
    log.close()


def test_a_pattern_without_a_dot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfig, match=r"'main' must be a namespace, a dot and a doctype"):
        load({"framed": FramedSettings}, environment={"CATCHMENT_FRAMED__DOCTYPES": "main"})


def test_strangers_cannot_make_more_objects_than_the_bound(tmp_path: Path) -> None:
    documents = [barn.decoded(number, doctype=f"made-up-{number}", appVersion=str(number)) for number in range(40)]
    documents += [barn.decoded(100 + number, doctype="made-up-1", appVersion=f"1.{number}") for number in range(40)]
    there = put_all(tmp_path, *documents, max_objects=10)
    assert sorted(payload for payloads in there.values() for payload in payloads) == sorted(documents)
    assert len(there) == 11
    assert len(there["20260921/telemetry/OTHER/OTHER/OTHER/OTHER"]) == 70


def test_the_largest_range_is_put_when_the_buffer_is_full(tmp_path: Path) -> None:
    noise = [barn.decoded(number, body={"noise": os.urandom(6000).hex()}) for number in range(60)]
    write(tmp_path, *noise)
    with opened(tmp_path, buffer_bytes=300_000) as writer:
        writer.turn(0)
    there = [payload for payloads in barn.held(tmp_path).values() for payload in payloads]
    assert 0 < len(there) < 60
    assert there == noise[: len(there)]
    barn.check_plans(tmp_path)


def test_a_damaged_record_is_passed_over_and_said(tmp_path: Path) -> None:
    good = barn.decoded(1)
    there = put_all(tmp_path, b"no message", good)
    assert list(there.values()) == [[good]]


def test_while_the_store_is_away_the_writer_waits_and_goes_on_afterwards(tmp_path: Path) -> None:
    wanted = barn.fill(tmp_path, 20)
    (tmp_path / "objects").write_text("a store that is away")
    registry = barn.write_schemas(tmp_path)
    log, objects = barn.open_barn(tmp_path)
    points = barn.CrashPoints(log, None)
    told = io.StringIO()
    settings = FramedSettings(object_age_s=0.1)
    writer = FramedWriter(
        settings, "barn", log, objects, lambda: registry, SystemClock(), Events("framed", told), at=points
    )
    points.writer = writer
    thread = threading.Thread(target=writer.run)
    thread.start()
    deadline = time.monotonic() + WITHIN_S
    while not writer.last_error and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert "objects: " in writer.last_error
    (tmp_path / "objects").unlink()
    thread.join(WITHIN_S)
    assert not thread.is_alive(), told.getvalue()
    assert writer.last_error == ""
    log.close()
    barn.check(tmp_path, wanted)


def test_another_logs_documents_under_the_same_name_are_not_taken_for_ours(tmp_path: Path) -> None:
    put_all(tmp_path, barn.decoded(1))
    log, objects = barn.open_barn(tmp_path)
    log.close()
    objects.delete(plan_key("barn.0", 0))
    (tmp_path / "log").rename(tmp_path / "old-log")
    write(tmp_path, barn.decoded(2))
    clock = ManualClock(barn.START_NS)
    with opened(tmp_path, clock) as writer:
        writer.turn(0)
        clock.advance(HOUR_S)
        writer.stop()  # so that it gives up instead of waiting for somebody to mend it
        with pytest.raises(Exception, match=r"^$"):
            writer.turn(0)
        assert "holds other documents under this name" in writer.last_error


def test_days_that_are_not_kept_expire_and_so_do_their_plans_once_they_are_done(tmp_path: Path) -> None:
    late, new = barn.decoded(1, received_ns=barn.START_NS - 3 * barn.DAY_NS), barn.decoded(2)
    assert list(put_all(tmp_path, late, new, keep_days=2).values()) == [[late], [new]]
    far_ns = time.time_ns() + 5 * barn.DAY_NS
    write(tmp_path, barn.decoded(3, received_ns=far_ns))
    clock = ManualClock(far_ns)
    with opened(tmp_path, clock, keep_days=2) as writer:
        writer.turn(0)
        clock.advance(HOUR_S)
        writer.turn(0)
    assert [len(payloads) for payloads in barn.held(tmp_path).values()] == [1]
    plans = [path.name for path in (tmp_path / "objects" / "framed-plans" / "barn.0").iterdir()]
    assert f"{0:020d}.json.zst" not in plans


def test_what_is_stored_is_the_message_as_it_was_decoded(tmp_path: Path) -> None:
    document = barn.decoded(7, appName="Firefox")
    (payloads,) = put_all(tmp_path, document).values()
    assert decode(payloads[0]) == decode(document)
