"""Catalogs of pyiceberg behind the lake's port: the Hive Metastore.

The library takes the metastore's lock, writes the metadata file and alters the table. Each thread has a client of its
own, because the library's has one connection. An error of the connection is an OSError (`CatalogAway`); the outcome is
not known then, and the commit reads the table back. Of the points within a commit only its end is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyiceberg.catalog import Catalog as AnyCatalog
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.sorting import SortOrder

from catchment.errors import MissingExtra
from catchment.lake.catalog import Requirements, Updates, nothing
from catchment.lake.files import LakeFiles
from catchment.lake.pointers import NAME, CatalogAway


class HiveCatalog:
    """The tables of a Hive Metastore, `thrift://host:port`."""

    def __init__(self, url: str, files: LakeFiles, warehouse: str, properties: dict[str, str]) -> None:
        """`properties` are pyiceberg's, those of the files; nothing is asked of the server yet. Raises MissingExtra."""
        try:
            from pyiceberg.catalog.hive import HiveCatalog as Library
            from thrift.Thrift import TException
        except ImportError as error:
            raise MissingExtra("a catalog in the Hive Metastore", "hive") from error
        self.files = files
        self._warehouse = warehouse.rstrip("/")
        self._errors = TException
        kind = type(files)
        all_properties = {"uri": url, "py-io-impl": f"{kind.__module__}.{kind.__name__}", **properties}
        self._make: Callable[[], AnyCatalog] = lambda: Library(NAME, **all_properties)
        self._clients = threading.local()

    def close(self) -> None:
        """The library opens a connection for each call, and closes it."""

    def create_table(
        self, identifier: str, schema: Schema, partition_spec: PartitionSpec, sort_order: SortOrder, properties: Any
    ) -> Table:
        namespace, _, name = identifier.partition(".")
        with self._client() as client:
            client.create_namespace_if_not_exists(namespace, {"location": f"{self._warehouse}/{namespace}"})
            return client.create_table(
                identifier, schema, f"{self._warehouse}/{namespace}/{name}", partition_spec, sort_order, properties
            )

    def load_table(self, identifier: str) -> Table:
        with self._client() as client:
            return client.load_table(identifier)

    def commit_table(
        self, table: Table, requirements: Requirements, updates: Updates, at: Callable[[str], None] = nothing
    ) -> CommitTableResponse:
        with self._client() as client:
            done = client.commit_table(table, requirements, updates)
        at("catalog_updated")
        return done

    def list_tables(self) -> list[str]:
        with self._client() as client:
            found = [".".join(name) for space in client.list_namespaces() for name in client.list_tables(space)]
        return sorted(found)

    @contextmanager
    def _client(self) -> Iterator[AnyCatalog]:
        if not hasattr(self._clients, "made"):
            self._clients.made = self._make()
        try:
            yield self._clients.made
        except self._errors as error:
            raise CatalogAway(f"the metastore: {error}") from error
