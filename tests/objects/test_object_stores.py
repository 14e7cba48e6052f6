"""The contract of an object store, over every backend."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from catchment.errors import BadConfig, Missing, Unavailable
from catchment.objects.open import open_objects
from catchment.objects.port import ObjectStore
from catchment.objects.settings import S3Settings
from tests.buckets import Bucket

BACKENDS = ["file", "s3"]
Place = tuple[str, S3Settings | None]
_children = multiprocessing.get_context("spawn")


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest) -> Place:
    """Where a store is: its URL and how it is reached."""
    if request.param == "file":
        return "file:objects", None
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.url, bucket.settings


@pytest.fixture
def store(place: Place, tmp_path: Path) -> ObjectStore:
    return open_objects(place[0], tmp_path, place[1])


def test_what_is_put_is_got_and_listed(store: ObjectStore) -> None:
    assert store.put("a/b/c", b"content")
    assert store.get("a/b/c") == b"content"
    assert [(found.key, found.size_bytes) for found in store.list("")] == [("a/b/c", 7)]


def test_a_key_that_is_taken_keeps_its_object(store: ObjectStore) -> None:
    assert store.put("key", b"first")
    assert not store.put("key", b"second")
    assert store.get("key") == b"first"


def test_a_listing_is_ordered_by_key_and_begins_with_the_prefix(store: ObjectStore) -> None:
    keys = ["p/a-1/x", "p/a-1/y", "p/a.b", "p/a/z", "p/b", "q"]
    for key in reversed(keys):
        store.put(key, b"")
    assert [found.key for found in store.list("")] == sorted(keys)
    assert [found.key for found in store.list("p/a")] == sorted(keys[:4])
    assert list(store.list("nowhere/")) == []


def test_what_is_deleted_is_gone_and_may_be_put_again(store: ObjectStore) -> None:
    store.put("key", b"first")
    store.delete("key")
    store.delete("key")
    with pytest.raises(Missing, match="object key"):
        store.get("key")
    assert store.put("key", b"second")


def put_all(home: Path, place: Place, content: bytes, keys: int) -> None:
    store = open_objects(place[0], home, place[1])
    won = sum(store.put(f"race/{number}", content) for number in range(keys))
    (home / content.decode()).write_text(str(won))


def test_of_two_processes_that_put_a_key_one_wins(tmp_path: Path, place: Place, store: ObjectStore) -> None:
    keys = 50
    racers = [_children.Process(target=put_all, args=(tmp_path, place, name, keys)) for name in (b"one", b"two")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(int((tmp_path / name).read_text()) for name in ("one", "two")) == keys
    assert {store.get(f"race/{number}") for number in range(keys)} <= {b"one", b"two"}


def test_a_leftover_of_a_crash_is_not_listed_and_goes_with_the_next_put(tmp_path: Path) -> None:
    store = open_objects("file:objects", tmp_path)
    left = tmp_path / "objects" / ".key.99999"
    left.parent.mkdir()
    left.write_bytes(b"half of it")
    assert list(store.list("")) == []
    assert store.put("key", b"whole")
    assert not left.exists()


def test_a_store_that_is_away_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("not a directory")
    store = open_objects("file:objects", tmp_path)
    with pytest.raises(Unavailable, match="putting a/b failed"):
        store.put("a/b", b"content")


@pytest.mark.parametrize("url", ["objects", "file:", "s4://bucket"])
def test_an_unusable_url_is_refused_with_an_example(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadConfig, match="for example `file:objects`"):
        open_objects(url, tmp_path)
