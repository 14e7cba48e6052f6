"""Settings of the key-value store."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class KeyValueSettings:
    """Section `[keyvalue]`."""

    url: str = option(
        "sqlite:keyvalue.db",
        "Where small values are: `sqlite:` and a file (relative to the home), or `dynamodb://` and a table.",
    )
    region: str = option("", "AWS region of the DynamoDB table; empty asks the usual AWS settings.")
    endpoint: str = option("", "URL of another DynamoDB server, for one that is not Amazon's.")
    timeout_s: float = option(
        10.0, "Longest wait for an answer of the store, or for another writer.", unit="seconds", minimum=0.1
    )
