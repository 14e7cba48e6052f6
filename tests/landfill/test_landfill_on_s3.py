"""The landfill in a bucket: the same promises, over a server that may be away."""

from __future__ import annotations

import signal
from pathlib import Path

from catchment.ingestion.landfill.layout import HOUR_NS
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.objects.s3 import connect
from tests.buckets import Bucket, new_bucket
from tests.engines import Minio, engine_home, free_port
from tests.landfill import yard
from tests.landfill.test_archiver_kills import run_child
from tests.landfill.test_landfill import Running

RECORDS = 40
POINTS = ("batch_packed", "object_put", "object_verified", "index_put", "committed")


def test_a_kill_at_any_point_ships_each_record_once(tmp_path: Path, minio_server: Minio) -> None:
    for die_at in range(1, len(POINTS) + 1):
        home = tmp_path / f"home-{die_at}"
        home.mkdir()
        yard.use(home, new_bucket(minio_server))
        written = yard.fill(home, RECORDS)
        assert run_child(home, die_at) == -signal.SIGKILL
        assert run_child(home, None, home / "journal") == 0
        yard.check(home, written)
        assert set(POINTS) == set((home / "journal").read_text().splitlines())


def test_an_outage_is_waited_out_and_every_record_is_there_once(tmp_path: Path) -> None:
    with engine_home() as folder:
        minio = Minio(folder, free_port())
        with minio.running():
            yard.use(tmp_path, new_bucket(minio))
            written = yard.fill(tmp_path, RECORDS)
            log, landfill = yard.open_yard(tmp_path)
            running = Running(log, landfill, LandfillSettings(object_bytes=1500, object_age_s=0.1))
            running.wait_for(lambda: "committed" in running.points)
        try:
            running.wait_for(lambda: bool(running.archiver.last_error))
            assert "Could not connect" in running.archiver.last_error or "closed" in running.archiver.last_error
            with minio.running():
                running.wait_for(lambda: yard.is_archived(log))
                running.stop()
                log.close()
                held: dict[str, list[int]] = {source: [] for source in written}
                for index in landfill.indexes(0, yard.START_NS + (yard.HOURS + 1) * HOUR_NS):
                    assert landfill.problem(index) is None
                    held[index.source] += range(index.first, index.end)
                assert {source: sorted(offsets) for source, offsets in held.items()} == {
                    source: list(range(RECORDS)) for source in written
                }
        finally:
            running.archiver.stop()


def test_the_bucket_expires_objects_so_the_archiver_does_not(tmp_path: Path, bucket: Bucket) -> None:
    yard.use(tmp_path, bucket)
    _, landfill = yard.open_yard(tmp_path)
    assert landfill.is_expired_by_store(30 * 86_400.0 - 1)
    name = bucket.url.split("/")[2]
    (rule,) = connect(bucket.settings).get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) == ("some/prefix/landfill/", 30)
