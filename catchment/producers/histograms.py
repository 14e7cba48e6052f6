"""Histograms as Firefox serialises them: only the filled run of buckets, an empty bucket on either side of it.

    {"bucket_count": 100, "histogram_type": 0, "sum": 92, "range": [1, 10000], "values": {"80": 0, "86": 1, "93": 0}}

The lower bounds follow Firefox's `Histogram` code (exponential: equal steps of the logarithm, at least 1 apart). The
samples of a measure are log-normal; each bucket gets its expected number of samples, rounded up or down at random, so
that a histogram costs one random number a bucket and not one a sample.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

EXPONENTIAL, LINEAR, BOOLEAN, CATEGORICAL = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Probe:
    """One measure: its buckets, and how its samples lie (median, and sigma of their logarithm)."""

    name: str
    kind: int
    high: int
    bucket_count: int
    median: float = 1.0
    sigma: float = 1.0
    samples: float = 20.0
    """Usual number of samples in an hour."""


def _times(names: str, high: int, bucket_count: int, median: float, sigma: float, samples: float) -> list[Probe]:
    return [Probe(name, EXPONENTIAL, high, bucket_count, median, sigma, samples) for name in names.split()]


PROBES: tuple[Probe, ...] = (
    *_times("GC_MS GC_MARK_MS GC_SWEEP_MS GC_MAX_PAUSE_MS_2 GC_TOTAL_MS", 10_000, 50, 18.0, 0.9, 60),
    *_times("CYCLE_COLLECTOR CYCLE_COLLECTOR_MAX_PAUSE FORGET_SKIPPABLE_MAX", 10_000, 50, 7.0, 0.9, 50),
    *_times("FX_PAGE_LOAD_MS_2 TIME_TO_NON_BLANK_PAINT_MS TIME_TO_LOAD_EVENT_END_MS", 100_000, 100, 1300, 0.8, 25),
    *_times("TIME_TO_DOM_LOADING_MS TIME_TO_RESPONSE_START_MS TIME_TO_FIRST_INTERACTION_MS", 50_000, 100, 420, 0.9, 25),
    *_times("FX_TAB_SWITCH_TOTAL_E10S_MS FX_TAB_SWITCH_COMPOSITE_E10S_MS", 1000, 20, 38, 0.7, 40),
    *_times("HTTP_PAGE_TLS_HANDSHAKE HTTP_SUB_TLS_HANDSHAKE HTTP_SUB_DNS_LOOKUP_TIME", 30_000, 50, 55, 0.9, 80),
    *_times("HTTP_PAGE_OPEN_TO_FIRST_SENT HTTP_SUB_OPEN_TO_FIRST_SENT HTTP_CACHE_MS", 30_000, 50, 21, 1.1, 120),
    *_times("NETWORK_CACHE_V2_HIT_TIME_MS NETWORK_CACHE_V2_MISS_TIME_MS", 10_000, 50, 2.5, 1.1, 150),
    *_times("DNS_LOOKUP_TIME DNS_FAILED_LOOKUP_TIME DNS_RENEWAL_TIME", 60_000, 50, 24, 1.0, 60),
    *_times("INPUT_EVENT_RESPONSE_MS INPUT_EVENT_RESPONSE_COALESCED_MS", 10_000, 50, 6, 0.8, 400),
    *_times("CONTENT_FRAME_TIME COMPOSITE_TIME CONTENT_PAINT_TIME CONTENT_FULL_PAINT_TIME", 1000, 50, 9, 0.7, 900),
    *_times("CHILD_PROCESS_LAUNCH_MS CONTENT_PROCESS_LAUNCH_TOTAL_MS", 64_000, 100, 85, 0.8, 9),
    *_times("MEMORY_RESIDENT_FAST MEMORY_TOTAL MEMORY_UNIQUE MEMORY_VSIZE", 33_554_432, 100, 480_000, 0.4, 60),
    *_times("MEMORY_JS_GC_HEAP MEMORY_HEAP_ALLOCATED MEMORY_IMAGES_CONTENT_USED", 16_777_216, 100, 61_000, 0.6, 60),
    *_times("PLACES_AUTOCOMPLETE_6_FIRST_RESULTS_TIME_MS PLACES_FRECENCY_CALC_TIME_MS", 1000, 30, 30, 0.9, 8),
    *_times("CHECKERBOARD_DURATION CHECKERBOARD_PEAK SCROLL_INPUT_LATENCY", 100_000, 50, 45, 1.0, 12),
    *_times("SESSIONSTORE_COLLECT FX_SESSION_RESTORE_WRITE_FILE_MS", 30_000, 20, 4, 0.9, 50),
    *_times("URLCLASSIFIER_LOOKUP_TIME_2 URLCLASSIFIER_CL_CHECK_TIME", 5000, 30, 1.6, 0.8, 200),
    *_times("STORAGE_SYNC_GET_OPS_SIZE STARTUP_MEASUREMENT_ERRORS SPDY_SERVER_INITIATED_STREAMS", 100_000, 50, 3, 1, 7),
    *_times("WR_RENDER_TIME WR_SCENEBUILD_TIME WR_FRAMEBUILD_TIME WR_RASTERIZE_GLYPHS_TIME", 1000, 50, 2.4, 0.8, 1500),
    *_times("IPC_READ_MAIN_THREAD_LATENCY_MS IPC_SYNC_MAIN_LATENCY_MS PERF_MONITORING_SLOW", 2000, 50, 3, 1.0, 70),
    *(Probe(name, LINEAR, 100, 20, 62, 0.3, 30) for name in ("GC_MMU_50", "GC_BUDGET_OVERRUN", "VIDEO_DROPPED_FRAMES")),
    *(
        Probe(name, BOOLEAN, 2, 3, samples=count)
        for name, count in (
            ("HTTP_TRANSACTION_IS_SSL", 300.0),
            ("HTTP_PAGELOAD_IS_SSL", 30.0),
            ("HTTP_CHANNEL_ONSTART_SUCCESS", 350.0),
            ("CONTENT_PROCESS_LAUNCH_IS_SYNC", 6.0),
            ("BROWSER_IS_USER_DEFAULT", 1.0),
            ("GC_NON_INCREMENTAL", 60.0),
        )
    ),
    *(
        Probe(name, CATEGORICAL, 50, 51, 2.0, 0.8, count)
        for name, count in (
            ("STARTUP_CACHE_REQUESTS", 700.0),
            ("SCRIPT_PRELOADER_REQUESTS", 700.0),
            ("MIXED_CONTENT_IMAGES", 12.0),
            ("CERT_VERIFICATION_RESULT", 25.0),
        )
    ),
)
"""Names as Firefox has or had them; medians are of the right order, no more is claimed."""

KEYED: tuple[tuple[Probe, tuple[str, ...]], ...] = tuple(
    (Probe(name, EXPONENTIAL, 100_000, 50, median, 0.9, 15), tuple(keys.split()))
    for name, median, keys in (
        ("HTTP3_PERF_PAGE_LOAD_TIME_MS", 900, "uses_http3_page supports_http3_page uses_http3_sub supports_http3_sub"),
        ("DNS_TRR_LOOKUP_TIME3", 40, "mozilla.cloudflare-dns.com dns.nextdns.io (other) firefox.dns.nextdns.io"),
        ("CANVAS_WEBGL_USED_KEYED", 3, "webgl webgl2 webgpu canvas2d"),
        (
            "SQLITE_STORE_OPEN_TIME",
            9,
            "places.sqlite cookies.sqlite favicons.sqlite storage.sqlite webappsstore.sqlite",
        ),
        ("IPC_SYNC_MESSAGE_MS", 4, "PCookieService PContent PBrowser PCompositorBridge PNecko PImageBridge PGPU"),
        ("QM_QUOTA_INFO_LOAD_TIME_V0", 30, "Normal WasSuspended TimeShiftedUnder1Hour TimeShiftedOver1Hour"),
        ("SEARCH_SUGGESTIONS_LATENCY_MS", 110, "google bing ddg ecosia wikipedia amazon"),
        ("VIDEO_PLAY_TIME_KEYED", 5000, "h264 vp9 av1 vp8 hevc aac opus"),
        ("MEMORY_DISTRIBUTION_AMONG_CONTENT", 90, "0_-_10_tabs 11_-_25_tabs 26_-_50_tabs more_than_50_tabs"),
        ("NETWORK_HTTP_REDIRECT_TO_SCHEME", 2, "http https about moz-extension"),
    )
)
"""Keyed measures and their keys."""


@lru_cache(512)
def lower_bounds(kind: int, high: int, bucket_count: int) -> tuple[int, ...]:
    """Lower bounds of all buckets; the first is 0 (underflow), the last is `high` (overflow)."""
    if kind in (BOOLEAN, CATEGORICAL):
        return tuple(range(bucket_count))
    if kind == LINEAR:
        step = [(bucket_count - 1 - at + high * (at - 1)) / (bucket_count - 2) for at in range(1, bucket_count)]
        return (0, *(int(bound + 0.5) for bound in step))
    bounds, current, log_high = [0, 1], 1, math.log(high)
    for at in range(2, bucket_count):
        log_current = math.log(current)
        following = int(math.exp(log_current + (log_high - log_current) / (bucket_count - at)) + 0.5)
        current = following if following > current else current + 1
        bounds.append(current)
    return tuple(bounds)


@lru_cache(512)
def _shares(probe: Probe) -> tuple[tuple[int, int, float], ...]:
    """(index, middle value, share of the samples) of each bucket that holds more than a thousandth of them."""
    bounds = lower_bounds(probe.kind, probe.high, probe.bucket_count)
    if probe.kind == BOOLEAN:
        return ((0, 0, 0.35), (1, 1, 0.65))

    def below(value: float) -> float:
        if value <= 0:
            return 0.0
        return 0.5 * (1 + math.erf((math.log(value / probe.median)) / (probe.sigma * math.sqrt(2))))

    found = []
    for at, low in enumerate(bounds):
        high = bounds[at + 1] if at + 1 < len(bounds) else None
        share = (1.0 if high is None else below(high)) - below(low)
        if share > 0.001:
            found.append((at, low if high is None else (low + high - 1) // 2, share))
    return tuple(found)


def draw_histogram(rng: random.Random, probe: Probe, hours: float) -> dict[str, Any]:
    """A histogram of `probe` after `hours` of use, with at least one sample; `sum` fits the buckets."""
    count = probe.samples * hours * rng.lognormvariate(0.0, 0.7)
    bounds = lower_bounds(probe.kind, probe.high, probe.bucket_count)
    shares = _shares(probe)
    random_share = rng.random
    filled: list[tuple[int, int]] = []
    total = 0
    for at, middle, share in shares:
        samples = int(count * share + random_share())
        if samples:
            filled.append((at, samples))
            total += samples * middle
    if not filled:
        at, total, _ = shares[len(shares) // 2]
        filled = [(at, 1)]
    values: dict[str, int] = {}
    first, last = filled[0][0], filled[-1][0]
    if first > 0:
        values[str(bounds[first - 1])] = 0
    for at, samples in filled:
        values[str(bounds[at])] = samples
    if last + 1 < len(bounds):
        values[str(bounds[last + 1])] = 0
    return {
        "bucket_count": probe.bucket_count,
        "histogram_type": probe.kind,
        "sum": total,
        "range": [1, probe.high],
        "values": values,
    }
