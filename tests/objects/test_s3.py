"""What only S3 has: parts, credentials, rules of the bucket, a server that is away."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from catchment.errors import BadConfig, Missing, MissingExtra, Unavailable
from catchment.objects.open import open_objects
from catchment.objects.s3 import S3Objects, connect
from catchment.objects.settings import S3Settings
from tests.buckets import Bucket, new_bucket, reach
from tests.dying import CrashPoints
from tests.engines import Minio, engine_home, free_port

PART_BYTES = 5 * 1024 * 1024
BIG = os.urandom(2 * PART_BYTES + 1000)
_children = multiprocessing.get_context("spawn")


@pytest.fixture
def parts(minio_server: Minio) -> Bucket:
    """A bucket that gets what is over 5 MiB in parts."""
    return new_bucket(minio_server, PART_BYTES)


def put_big(bucket: Bucket, die_at: int) -> None:
    S3Objects(bucket.url, bucket.settings, CrashPoints(die_at)).put("big", BIG)


def test_a_large_object_goes_in_parts_and_its_key_is_taken_then(parts: Bucket) -> None:
    passed = CrashPoints(None)
    store = S3Objects(parts.url, parts.settings, passed)
    assert store.put("big", BIG)
    assert passed.passed == ["part_put"] * 3
    assert not store.put("big", BIG[1:])
    assert store.get("big") == BIG


@pytest.mark.parametrize("die_at", [1, 3])
def test_a_writer_that_is_killed_between_parts_leaves_no_object(parts: Bucket, die_at: int) -> None:
    child = _children.Process(target=put_big, args=(parts, die_at))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    store = S3Objects(parts.url, parts.settings)
    assert list(store.list("")) == []
    with pytest.raises(Missing, match="object big: is not in s3://"):
        store.get("big")
    assert store.put("big", BIG)
    assert store.get("big") == BIG


def test_a_put_that_is_repeated_because_its_answer_was_lost_is_known_again(bucket: Bucket) -> None:
    answers = []

    def send_again(response: object, **_: object) -> float | None:
        answers.append(response)
        return 0.0 if len(answers) == 1 else None

    store = S3Objects(bucket.url, bucket.settings)
    store._client.meta.events.register("needs-retry.s3.PutObject", send_again)
    assert store.put("key", b"content")
    assert len(answers) == 2
    assert not store.put("key", b"other")
    assert store.get("key") == b"content"


def test_the_bucket_deletes_by_a_rule_and_keeps_the_rules_of_others(bucket: Bucket) -> None:
    client, name = connect(bucket.settings), bucket.url.split("/")[2]
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})
    store = S3Objects(bucket.url, bucket.settings)
    assert store.retain("landfill/", 30)
    assert store.retain("landfill/", 31)
    rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    found = {rule["ID"]: (rule["Filter"], rule["Expiration"]["Days"]) for rule in rules if "Expiration" in rule}
    assert found == {
        "theirs": ({"Prefix": "x/"}, 3),
        "catchment some/prefix/landfill/ expires": ({"Prefix": "some/prefix/landfill/"}, 31),
    }


def test_a_refusal_says_what_to_do(minio_server: Minio, bucket: Bucket) -> None:
    absent = S3Objects("s3://no-such-bucket", reach(minio_server))
    with pytest.raises(Unavailable, match=r"putting a in s3://no-such-bucket/ failed.*make it"):
        absent.put("a", b"")
    unknown = S3Objects(bucket.url, replace(bucket.settings, access_key="nobody"))
    with pytest.raises(Unavailable, match="does not know the access key"):
        unknown.get("a")
    wrong = S3Objects(bucket.url, replace(bucket.settings, secret_key="wrong"))
    with pytest.raises(Unavailable, match="secret key does not fit"):
        list(wrong.list(""))


def test_credentials_and_endpoint_come_from_the_environment_too(
    bucket: Bucket, minio_server: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", minio_server.endpoint)
    store = S3Objects(bucket.url, S3Settings())
    assert store.put("key", b"content")
    assert open_objects(bucket.url, Path(), bucket.settings).get("key") == b"content"


def test_a_server_that_is_away_is_unavailable_until_it_is_back() -> None:
    with engine_home() as folder:
        minio = Minio(folder, free_port())
        with minio.running():
            bucket = new_bucket(minio)
            store = S3Objects(bucket.url, bucket.settings)
            assert store.put("before", b"1")
        with pytest.raises(Unavailable, match=r"putting meanwhile in .* failed: Could not connect"):
            store.put("meanwhile", b"2")
        with minio.running():
            assert store.put("meanwhile", b"2")
            assert [found.key for found in store.list("")] == ["before", "meanwhile"]


def test_the_library_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botocore.config", None)
    with pytest.raises(MissingExtra, match=r"pip install 'catchment\[s3\]'"):
        open_objects("s3://bucket", Path())


@pytest.mark.parametrize("url", ["s3:", "s3://", "s3://A_b", "s3:/bucket"])
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="for example `s3://telemetry/catchment`"):
        open_objects(url, Path())
