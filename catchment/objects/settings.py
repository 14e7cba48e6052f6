"""Options of S3: where the server is and who asks. What is not given comes from where AWS programs look for it."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option

_MIB = 1024 * 1024


def _endpoint_rule(url: str) -> str | None:
    is_right = not url or url.startswith(("http://", "https://"))
    return None if is_right else "must begin with https:// (or http:// for a server of your own network)"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Section `[s3]`: for every URL `s3://…`."""

    endpoint: str = option(
        "",
        "URL of the server when it is not Amazon's, `https://…`; `http://…` only for one of your own network.",
        check=_endpoint_rule,
    )
    region: str = option("", "Region of the buckets; empty: as AWS programs find it, else us-east-1.")
    access_key: str = option("", "Access key id; empty: credentials as AWS programs find them.")
    secret_key: str = option("", "Secret access key that belongs to `access_key`.", secret=True)
    part_bytes: int = option(
        16 * _MIB,
        "A larger object is sent in parts of this size, each tried again alone.",
        unit="bytes",
        minimum=5 * _MIB,
        maximum=1024 * _MIB,
    )
