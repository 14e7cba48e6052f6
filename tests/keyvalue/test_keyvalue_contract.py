"""The contract of a key-value store, over every backend."""

from __future__ import annotations

import os
import threading

import pytest

from catchment.clock import ManualClock
from catchment.errors import Malformed, TooLarge
from catchment.keyvalue.port import MAX_VALUE_BYTES, Entry, KeyValue
from tests.keyvalue.conftest import Opener


def test_what_is_put_is_got_until_it_is_changed_or_deleted(store: KeyValue) -> None:
    assert store.get("a/b") is None
    store.put("a/b", b"one")
    assert store.get("a/b") == b"one"
    store.put("a/b", b"")
    assert store.get("a/b") == b""
    store.delete("a/b")
    store.delete("a/b")
    assert store.get("a/b") is None


def test_another_one_who_opens_the_store_sees_the_same(opener: Opener) -> None:
    opener().put("a/b", b"one")
    assert opener().get("a/b") == b"one"


def test_a_value_ends_by_the_clock(store: KeyValue, clock: ManualClock) -> None:
    store.put("a/short", b"one", ttl_s=1.5)
    store.put("a/long", b"two")
    clock.advance(1.4)
    assert store.get("a/short") == b"one"
    assert [entry.key for entry in store.scan("a/")] == ["a/long", "a/short"]
    clock.advance(0.1)
    assert store.get("a/short") is None
    assert [entry.key for entry in store.scan("a/")] == ["a/long"]
    assert store.put_if("a/short", b"three", None)
    clock.advance(1e6)
    assert store.get("a/short") == b"three"


def test_what_has_ended_is_no_value_to_expect(store: KeyValue, clock: ManualClock) -> None:
    store.put("a/b", b"one", ttl_s=1)
    clock.advance(1)
    assert not store.put_if("a/b", b"two", b"one")
    assert store.put_if("a/b", b"two", None, ttl_s=1)
    assert store.put_if("a/b", b"three", b"two", ttl_s=5)
    clock.advance(2)
    assert store.get("a/b") == b"three"


def test_put_if_puts_only_over_what_is_expected(store: KeyValue) -> None:
    assert store.put_if("a/b", b"one", None)
    assert not store.put_if("a/b", b"two", None)
    assert not store.put_if("a/b", b"two", b"other")
    assert not store.put_if("a/absent", b"two", b"one")
    assert store.put_if("a/b", b"two", b"one")
    assert store.get("a/b") == b"two"
    assert store.get("a/absent") is None


def test_of_those_who_expect_the_same_one_wins(opener: Opener) -> None:
    stores = [opener() for _ in range(4)]
    counted: list[int] = []

    def count(store: KeyValue) -> None:
        done = 0
        while done < 10:
            found = store.get("count/er")
            if store.put_if("count/er", str(int(found or b"0") + 1).encode(), found):
                done += 1
        counted.append(done)

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counted == [10] * 4
    assert stores[0].get("count/er") == b"40"


def test_a_scan_gives_what_begins_with_its_prefix_in_the_order_of_bytes(store: KeyValue) -> None:
    keys = ["s/", "s/a", "s/a/b", "s/a.b", "s/é", "s/\U0001f600", "s/b", "t/a", "sa/a", "s/\uffff"]
    for key in keys:
        store.put(key, key.encode())
    wanted = sorted((key for key in keys if key.startswith("s/")), key=str.encode)
    assert list(store.scan("s/")) == [Entry(key, key.encode()) for key in wanted]
    assert [entry.key for entry in store.scan("s/a")] == ["s/a", "s/a.b", "s/a/b"]
    assert list(store.scan("u/")) == []


def test_a_scan_goes_through_many_pages(store: KeyValue) -> None:
    big = os.urandom(200_000)
    for number in range(12):
        store.put(f"big/{number:02d}", big)
    assert [entry.key for entry in store.scan("big/")] == [f"big/{number:02d}" for number in range(12)]


def test_the_largest_entry_is_taken_and_a_larger_one_is_not(store: KeyValue) -> None:
    key = "a/" + "k" * 1022
    store.put(key, bytes(MAX_VALUE_BYTES))
    assert store.get(key) == bytes(MAX_VALUE_BYTES)
    with pytest.raises(TooLarge, match="has 1025 bytes, must have at most 1024"):
        store.put(key + "k", b"")
    with pytest.raises(TooLarge, match="has 350001 bytes, must have at most 350000"):
        store.put_if("a/b", bytes(MAX_VALUE_BYTES + 1), None)


@pytest.mark.parametrize("key", ["", "a", "/a", "a/\ud800"])
def test_a_key_of_another_form_is_refused(store: KeyValue, key: str) -> None:
    for call in (store.get, store.delete, store.scan, lambda key: store.put(key, b"")):
        with pytest.raises(Malformed, match="key "):
            call(key)
