"""Health of a worker: room on the log's disk, and whether flushes succeed; and the paths that tell of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from catchment import health
from catchment.clock import Clock
from catchment.health import ERROR, WARNING, Check, Finding
from catchment.ingestion.edge.commit import Committer

_FAILURE_COUNTS_S = 10.0
_SLOW_FLUSH_S = 10.0


def disk_check(directory: Path, min_free_bytes: int) -> Check:
    """Unhealthy when less than `min_free_bytes` are free where the log is."""

    def check() -> Sequence[Finding]:
        try:
            free_bytes = shutil.disk_usage(directory).free
        except OSError as error:
            return [Finding("log_directory_unreadable", ERROR, f"{directory}: {error.strerror}")]
        if free_bytes >= min_free_bytes:
            return []
        text = f"{directory}: {free_bytes:,} bytes free, less than {min_free_bytes:,}; free space or set min_free_bytes"
        return [Finding("disk_low", ERROR, text)]

    return check


def flush_check(committer: Committer, clock: Clock) -> Check:
    """Unhealthy while a flush is overdue, and for some seconds after one failed; then only a warning until the next
    success, so that a balancer sends traffic again and the next flush can show that all is well."""

    def check() -> Sequence[Finding]:
        if committer.oldest_wait_s > _SLOW_FLUSH_S:
            return [Finding("flush_overdue", ERROR, f"the log has not answered for {committer.oldest_wait_s:.1f} s")]
        if not committer.failure or committer.failed_s is None:
            return []
        age_s = clock.monotonic_s() - committer.failed_s
        level = ERROR if age_s < _FAILURE_COUNTS_S else WARNING
        return [Finding("flush_failed", level, f"the last flush failed {age_s:.0f} s ago: {committer.failure}")]

    return check


def operational(path: bytes, checks: Mapping[str, Check]) -> tuple[int, str, bytes]:
    """Status, content type and body for one of `rules.OPERATIONAL`."""
    if path == b"/status":
        status, _ = health.heartbeat(checks)
        return status, "text/plain", b"OK" if status == 200 else b"unhealthy\n"
    found = health.answer(path.decode(), checks)
    assert found is not None
    return found
