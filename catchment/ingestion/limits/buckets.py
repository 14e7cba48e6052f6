"""Token buckets, fed by the times of the submissions themselves; no clock but these.

A bucket fills at `rate` up to `burst`; a submission takes one token or is over the limit. Time that runs back (a clock
was set) fills nothing, and time that leaps ahead fills a bucket once. Full buckets are forgotten, since a new one is
full; when as many doctypes as `MOST` are busy at once, all further ones share a bucket, so that inventing doctypes
neither takes memory nor gets around the default limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from catchment.ingestion.limits.settings import Limit

MOST = 10_000
SHARED = ("", "")
Key = tuple[str, str]
"""Namespace and doctype."""


@dataclass(slots=True)
class Bucket:
    tokens: float
    at_ns: int
    """Time of the last submission."""


@dataclass(slots=True)
class Buckets:
    """The buckets of one partition. The same submissions in the same order give the same decisions."""

    limit_of: Callable[[str, str], Limit]
    held: dict[Key, Bucket] = field(default_factory=dict)

    def admits(self, key: Key, time_ns: int) -> bool:
        """Whether the submission is within its limit; takes its token."""
        limit = self.limit_of(*key)
        if not limit.rate:
            return True
        bucket = self.held.get(key) or self._new(key, limit, time_ns)
        gained = max(time_ns - bucket.at_ns, 0) * 1e-9 * limit.rate
        bucket.tokens, bucket.at_ns = min(bucket.tokens + gained, limit.burst), time_ns
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _new(self, key: Key, limit: Limit, time_ns: int) -> Bucket:
        if len(self.held) >= MOST:
            self._forget_full(time_ns)
        if len(self.held) >= MOST:
            key = SHARED
        return self.held.setdefault(key, Bucket(limit.burst, time_ns))

    def _forget_full(self, time_ns: int) -> None:
        for key, bucket in list(self.held.items()):
            limit = self.limit_of(*key)
            if bucket.tokens + max(time_ns - bucket.at_ns, 0) * 1e-9 * limit.rate >= limit.burst:
                del self.held[key]
