"""Key-value in a table of Amazon DynamoDB, or of what speaks its language.

| attribute | type | |
|---|---|---|
| `space` | S, partition key | of the key |
| `key` | S, sort key | the whole key |
| `value` | B | |
| `ends_ns` | N, may be absent | when the entry ends, ns since 1970: what readers go by |
| `ends_s` | N, may be absent | the same in seconds, rounded up: by which the table removes it, a day or two later |

Reads are consistent. Changes under a condition are never repeated by the library: the second try would meet the first
one's value and call it a stranger's. Source: the DynamoDB API of 2012-08-10, through botocore.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from catchment.clock import Clock
from catchment.errors import BadConfig, Busy, CatchmentError, MissingExtra, Unavailable, Unknown
from catchment.keyvalue.port import Entry, check, space_of
from catchment.keyvalue.settings import KeyValueSettings

try:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session
except ImportError as error:
    raise MissingExtra("a key-value store in DynamoDB", "dynamodb") from error

_BUSY = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_DOUBTFUL = frozenset({"InternalServerError", "ServiceUnavailable", "InternalFailure"})
_LIVES = "(attribute_not_exists(ends_ns) OR ends_ns > :now)"
"""In expressions `key`, `value` and `space`, which are reserved words, are written as #names."""


def open_dynamodb(table: str, settings: KeyValueSettings, clock: Clock) -> DynamodbKeyValue:
    """The store in this table, which is made (billed by request, with removal of what has ended) when it is absent."""

    def client(attempts: int) -> Any:
        try:
            return get_session().create_client(
                "dynamodb",
                region_name=settings.region or None,
                endpoint_url=settings.endpoint or None,
                config=Config(
                    connect_timeout=settings.timeout_s,
                    read_timeout=settings.timeout_s,
                    retries={"total_max_attempts": attempts, "mode": "standard"},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise BadConfig(f"[keyvalue] url is dynamodb://{table}: {error}; see docs/keyvalue.md") from error

    store = DynamodbKeyValue(table, client(5), client(1), clock)
    store.ensure_table()
    return store


class DynamodbKeyValue:
    """`KeyValue` in a table. `client` may repeat what fails, `strict` never does."""

    def __init__(self, table: str, client: Any, strict: Any, clock: Clock) -> None:
        self._table = table
        self._client = client
        self._strict = strict
        self._clock = clock

    def ensure_table(self) -> None:
        """Make the table, unless it is there; return when it can be used."""
        try:
            self._client.describe_table(TableName=self._table)
            return
        except ClientError as error:
            if _code(error) != "ResourceNotFoundException":
                raise self._refused("looking for it", error) from error
        except BotoCoreError as error:
            raise self._refused("looking for it", error) from error
        try:
            try:
                self._client.create_table(
                    TableName=self._table,
                    BillingMode="PAY_PER_REQUEST",
                    AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("space", "key")],
                    KeySchema=[
                        {"AttributeName": "space", "KeyType": "HASH"},
                        {"AttributeName": "key", "KeyType": "RANGE"},
                    ],
                )
            except ClientError as error:
                if _code(error) != "ResourceInUseException":  # somebody else was faster
                    raise
            self._client.get_waiter("table_exists").wait(
                TableName=self._table, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
            self._client.update_time_to_live(
                TableName=self._table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends_s"}
            )
        except (BotoCoreError, ClientError) as error:
            if _code(error) != "ValidationException":  # the end of entries is switched on already
                raise self._refused("making it", error) from error

    def get(self, key: str) -> bytes | None:
        try:
            found = self._client.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True).get("Item")
        except (BotoCoreError, ClientError) as error:
            raise self._refused(f"getting {key}", error) from error
        if found is None or int(found.get("ends_ns", {}).get("N", self._clock.time_ns() + 1)) <= self._clock.time_ns():
            return None
        return bytes(found["value"]["B"])

    def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        check(key, value)
        try:
            self._client.put_item(TableName=self._table, Item=self._item(key, value, ttl_s))
        except (BotoCoreError, ClientError) as error:
            raise self._refused(f"putting {key}", error) from error

    def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        check(key, value)
        values: dict[str, Any] = {":now": {"N": str(self._clock.time_ns())}}
        names = {"#key": "key"}
        condition = "attribute_not_exists(#key) OR ends_ns <= :now"
        if expected is not None:
            condition, names = f"#value = :expected AND {_LIVES}", {"#value": "value"}
            values[":expected"] = {"B": expected}
        try:
            self._strict.put_item(
                TableName=self._table,
                Item=self._item(key, value, ttl_s),
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if _code(error) == "ConditionalCheckFailedException":
                return False
            raise self._refused(f"putting {key}", error, is_doubtful=_code(error) in _DOUBTFUL) from error
        except BotoCoreError as error:
            raise self._refused(f"putting {key}", error, is_doubtful=True) from error
        return True

    def delete(self, key: str) -> None:
        try:
            self._client.delete_item(TableName=self._table, Key=_key(key))
        except (BotoCoreError, ClientError) as error:
            raise self._refused(f"deleting {key}", error) from error

    def scan(self, prefix: str) -> Iterator[Entry]:
        return self._pages(prefix, space_of(prefix))

    def close(self) -> None:
        self._client.close()
        self._strict.close()

    def _pages(self, prefix: str, space: str) -> Iterator[Entry]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="#space = :space AND begins_with(#key, :prefix)",
            FilterExpression=_LIVES,
            ExpressionAttributeNames={"#space": "space", "#key": "key"},
            ExpressionAttributeValues={
                ":space": {"S": space},
                ":prefix": {"S": prefix},
                ":now": {"N": str(self._clock.time_ns())},
            },
        )
        try:
            for page in pages:
                for item in page["Items"]:
                    yield Entry(item["key"]["S"], bytes(item["value"]["B"]))
        except (BotoCoreError, ClientError) as error:
            raise self._refused(f"scanning {prefix}", error) from error

    def _item(self, key: str, value: bytes, ttl_s: float | None) -> dict[str, Any]:
        item: dict[str, Any] = {**_key(key), "value": {"B": value}}
        if ttl_s is not None:
            ends_ns = self._clock.time_ns() + round(ttl_s * 1e9)
            item["ends_ns"] = {"N": str(ends_ns)}
            item["ends_s"] = {"N": str(-(-ends_ns // 1_000_000_000))}
        return item

    def _refused(self, doing: str, error: Exception, is_doubtful: bool = False) -> CatchmentError:
        where = f"key-value table {self._table}: {doing} failed: {error}"
        if is_doubtful:
            return Unknown(f"{where}; it may be there or not, read it back")
        if isinstance(error, ClientError) and _code(error) not in _BUSY | _DOUBTFUL:
            return BadConfig(f"{where}; see [keyvalue], and what this account may do")
        kind = Busy if _code(error) in _BUSY else Unavailable
        return kind(f"{where}; try again")


def _key(key: str) -> dict[str, Any]:
    return {"space": {"S": space_of(key)}, "key": {"S": key}}


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
