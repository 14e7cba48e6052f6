"""Shelves of the framed lake and of layouts before it, for the tests of datasets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import zstandard

from catchment.datasets.dataset import Dataset
from catchment.datasets.reading import Place
from catchment.framing import frame
from tests.framed import barn

DAYS = ("20261123", "20261124", "20261125")

MAIN = [number for number in range(120) if number % 40 < 20]
"""What `stock` puts into main."""


def put(home: Path, key: str, *payloads: bytes) -> None:
    path = home / "objects" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.compress(b"".join(map(frame, payloads))))


def stock(home: Path) -> None:
    """Three days of two doctypes on two channels, 10 documents a file, and another namespace."""
    number = 0
    for day in DAYS:
        for doctype in ("main", "crash"):
            for channel in ("release", "nightly_cck_example"):
                documents = []
                for _ in range(10):
                    documents.append(
                        barn.decoded(number, doctype=doctype, body={"number": number, "os": {"name": "Linux"}})
                    )
                    number += 1
                put(home, f"framed/{day}/telemetry/{doctype}/Firefox/{channel}/64.0/a.0-{0:020d}.heka.zst", *documents)
    put(home, f"framed/{DAYS[0]}/shop/order/UNKNOWN/UNKNOWN/UNKNOWN/a.0-{0:020d}.heka.zst", barn.decoded(9000, "shop"))


def dataset(home: Path, name: str = "telemetry") -> Dataset:
    return Dataset.at(Place("file:objects", str(home)), name)


def stock_of_2018(root: Path) -> list[dict[str, Any]]:
    """A source as it was then: `sources.json`, `schema.json`, and files plain, by gzip, and by snappy a record."""
    import pyarrow as pa

    dimensions = ["submissionDate", "sourceName", "sourceVersion", "docType", "appName", "appUpdateChannel"]
    (root / "telemetry-2").mkdir(parents=True)
    (root / "sources.json").write_bytes(
        orjson.dumps({"telemetry": {"prefix": "telemetry-2", "metadata_prefix": "telemetry-2"}})
    )
    schema = {"version": 1, "dimensions": [{"field_name": name, "allowed_values": "*"} for name in dimensions]}
    (root / "telemetry-2" / "schema.json").write_bytes(orjson.dumps(schema))
    folder = root / "telemetry-2" / "20180105" / "telemetry" / "4" / "main" / "Firefox" / "nightly_cck_example"
    folder.mkdir(parents=True)
    numbers = [[10 * file + at for at in range(3)] for file in range(3)]
    documents = [[barn.decoded(number, body={"number": number}) for number in some] for some in numbers]
    codec = pa.Codec("snappy")
    (folder / "1_0_host").write_bytes(b"".join(frame(codec.compress(one, asbytes=True)) for one in documents[0]))
    (folder / "2_0_host.gz").write_bytes(gzip.compress(b"".join(map(frame, documents[1]))))
    (folder / "3_0_host").write_bytes(b"".join(map(frame, documents[2])))
    return [{"number": number} for some in numbers for number in some]
