"""Rows of one table, as columns: the metadata that every table has, the columns of its shape, and what is left over.

    submission_timestamp, document_id, client_id, sample_id, normalized_*, metadata   from the `Document`
    … the properties of the schema …                                                  from its content
    additional_properties   JSON text of all that had no place, at its path, with its own names; NULL when nothing

So nothing of a document is lost: what the row does not hold, `additional_properties` does, and what its column could
not hold is counted. The schema's property for the client id is not repeated when the column `client_id` holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import orjson
import pyarrow as pa

from catchment.document import Document
from catchment.lake.datafiles import SPLIT
from catchment.lake.gatherer import Gatherer, gatherer_of
from catchment.lake.misfits import count_misfits
from catchment.lake.places import arrow_type
from catchment.schemas.shape import Struct
from catchment.schemas.signature import signature

_TEXT = pa.string()
_PLAIN = (
    ("document_id", _TEXT, "UUID of the submission, lower case"),
    ("client_id", _TEXT, "The client's id, as it was sent"),
    ("sample_id", pa.int32(), "CRC-32 of the client id modulo 100"),
    ("normalized_channel", _TEXT, "release, beta, aurora, nightly, esr or Other"),
    ("normalized_os", _TEXT, "Operating system, in a few names"),
    ("normalized_os_version", _TEXT, "At most three groups of digits of its version"),
    ("normalized_app_name", _TEXT, "Application, in a few names"),
    ("normalized_country_code", _TEXT, "ISO 3166 code, or Other"),
)
_METADATA: dict[str, dict[str, str]] = {
    "geo": {
        "country": "geo_country",
        "subdivision1": "geo_subdivision1",
        "subdivision2": "geo_subdivision2",
        "city": "geo_city",
        "isp": "geo_isp",
    },
    "user_agent": {"browser": "user_agent_browser", "version": "user_agent_version", "os": "user_agent_os"},
    "ua_parser": {name: f"ua_parser_{name}" for name in ("browser", "version", "os", "os_version", "device")},
    "uri": {name: name for name in ("app_name", "app_version", "app_update_channel", "app_build_id")},
    "header": {
        name: f"header_{name}"
        for name in (
            "date",
            "dnt",
            "host",
            "x_debug_id",
            "x_pingsender_version",
            "x_source_tags",
            "x_telemetry_agent",
        )
    },
    "clock": {"skew_s": "clock_skew_s", "creation_timestamp": "creation_ns"},
}
"""Group → part → attribute of the document. Parts are texts, but for those of `_NUMBERS`."""
_GROUPS = {
    "geo": "Where the client's address was at the time of receipt; the address itself is not kept",
    "user_agent": "Of the header User-Agent, by the short list of 2018",
    "ua_parser": "Of the header User-Agent, by ua-parser",
    "uri": "The application, as the path of the submission names it",
    "header": "Headers of the request, as sent",
    "clock": "The client's clock: seconds that it is ahead, and when it made the document",
}
_TIMESTAMP = pa.timestamp("us", tz="UTC")
_NUMBERS: dict[str, tuple[pa.DataType, pa.DataType]] = {
    "clock_skew_s": (pa.int64(), pa.int64()),
    "creation_ns": (pa.timestamp("ns", tz="UTC"), _TIMESTAMP),
}
"""Attribute → type of its values, type of its column. A table has no nanoseconds: what is below a microsecond goes."""
_values = attrgetter(
    *(name for name, _, _ in _PLAIN), *(attribute for group in _METADATA.values() for attribute in group.values())
)
ROW_OVERHEAD_BYTES = 400
"""What a row's metadata takes, about."""

UNREGISTERED = (
    pa.field("document_type", _TEXT, metadata={"doc": "Doctype that has no schema"}),
    pa.field("document_version", pa.int64(), metadata={"doc": "Its version, as sent"}),
)
"""More columns of the table of documents without a schema."""


class Columns:
    """Gathers documents of one shape; `None` is the shape of documents without a schema. With the name of their table,
    `take` counts the values that did not fit."""

    def __init__(
        self, shape: Struct | None, gather: Callable[[Struct], Gatherer] = gatherer_of, table: str | None = None
    ) -> None:
        self.schema = row_schema(shape)
        self._table = table
        self._is_registered = shape is not None
        self._client_id = shape.client_id if shape is not None else None
        self._submitted_us: list[int] = []
        self._metadata: list[tuple[Any, ...]] = []
        self._leftovers: list[str | None] = []
        self._doctypes: list[tuple[str, int]] = []
        self._size_bytes = 0
        self._gatherer: Gatherer | None = gather(shape) if shape is not None and shape.properties else None

    @property
    def rows(self) -> int:
        return len(self._submitted_us)

    @property
    def size_bytes(self) -> int:
        """About what the rows hold: their JSON text and an allowance for the metadata."""
        return self._size_bytes

    def append(self, document: Document) -> None:
        """Add a row. The document is not kept, nor changed."""
        content = document.content
        leftovers = self._gatherer.append(content) if self._gatherer is not None else content
        if leftovers is not None:
            name = self._client_id
            if name in leftovers and leftovers[name] == document.client_id:
                leftovers = {key: value for key, value in leftovers.items() if key != name}
        self._leftovers.append(orjson.dumps(leftovers).decode() if leftovers else None)
        self._metadata.append(_values(document))
        self._submitted_us.append(document.submission_ns // 1000)
        if not self._is_registered:
            self._doctypes.append((document.doctype, document.version))
        self._size_bytes += len(document.body) + ROW_OVERHEAD_BYTES

    def take(self) -> pa.Table:
        """All rows as a table of `schema`, in the order of `append`; the buffer is empty afterwards."""
        arrays = [pa.array(self._submitted_us, _TIMESTAMP), *self._metadata_arrays()]
        if not self._is_registered:
            doctypes, versions = zip(*self._doctypes, strict=True) if self._doctypes else ((), ())
            arrays += [pa.array(doctypes, _TEXT), pa.array(versions, pa.int64())]
        if self._gatherer is not None:
            arrays += self._gatherer.take()
            if self._table is not None:
                count_misfits(self._table, self._gatherer.misfits())
        arrays.append(pa.array(self._leftovers, _TEXT))
        for held in (self._submitted_us, self._metadata, self._leftovers, self._doctypes):
            held.clear()
        self._size_bytes = 0
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _metadata_arrays(self) -> list[pa.Array]:
        width = len(_PLAIN) + sum(len(group) for group in _METADATA.values())
        columns = list(zip(*self._metadata, strict=True)) or [()] * width
        arrays = [pa.array(column, kind) for column, (_, kind, _) in zip(columns, _PLAIN, strict=False)]
        groups = []
        at = len(_PLAIN)
        for name, group in _METADATA.items():
            parts = [
                _part(column, attribute)
                for column, attribute in zip(columns[at : at + len(group)], group.values(), strict=True)
            ]
            groups.append(pa.StructArray.from_arrays(parts, fields=list(_METADATA_TYPE.field(name).type)))
            at += len(group)
        return [*arrays, pa.StructArray.from_arrays(groups, fields=list(_METADATA_TYPE))]


def _part(column: Any, attribute: str) -> pa.Array:
    given, kept = _NUMBERS.get(attribute, (_TEXT, _TEXT))
    array = pa.array(column, given)
    return array if given == kept else array.cast(kept, safe=False)


_METADATA_TYPE = pa.struct(
    [
        pa.field(
            name,
            pa.struct(
                [pa.field(part, _NUMBERS.get(attribute, (_TEXT, _TEXT))[1]) for part, attribute in group.items()]
            ),
            metadata={"doc": _GROUPS[name]},
        )
        for name, group in _METADATA.items()
    ]
)


def row_schema(shape: Struct | None) -> pa.Schema:
    """The Arrow schema of a table: metadata, the shape's columns, what is left over. `doc` metadata are comments.
    The schema's own metadata names the shape, for the names of files (`datafiles.SPLIT`)."""
    fields = [pa.field("submission_timestamp", _TIMESTAMP, metadata={"doc": "When the edge received it"})]
    fields += [pa.field(name, kind, metadata={"doc": comment}) for name, kind, comment in _PLAIN]
    fields.append(
        pa.field("metadata", _METADATA_TYPE, metadata={"doc": "Place, user agent, URI, headers and the client's clock"})
    )
    fields += list(arrow_type(shape)) if shape is not None else list(UNREGISTERED)
    fields.append(
        pa.field("additional_properties", _TEXT, metadata={"doc": "JSON text of what has no column, at its path"})
    )
    return pa.schema(fields, {SPLIT: signature(shape)} if shape is not None else None)
