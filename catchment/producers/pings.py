"""The pings: a document each, from a random source and the moment that it is about; nothing else goes in.

    ping                size (JSON)       form
    main                500 … 60,000 B    telemetry v4: what a (sub)session measured, grown to the size asked for
    new-profile         5 … 9 KB          telemetry v4
    event               500 … 60,000 B    telemetry v4: what a person did, grown to the size asked for
    crash               4 … 9 KB          telemetry v4
    baseline, health    0.7 … 1.3 KB      Glean

The documents are valid by the built-in schemas and by those of Mozilla's pipeline, which are stricter.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson

from catchment.producers.client import draw_uuid
from catchment.producers.environment import APPLICATION_ID, application, environment, small_environment
from catchment.producers.histograms import KEYED, PROBES, Probe, draw_histogram
from catchment.producers.moment import Moment, creation_date, day, draw_moment, hour, millisecond, minute

SMALLEST, LARGEST = 500, 60_000
"""Bytes of JSON between which a main or event ping can be asked for; the smallest come out some 100 bytes larger."""
_NEEDS_ENVIRONMENT, _NEEDS_INFO = 2500, 1200
_FULL_ENVIRONMENT = 9000

_SMALLEST_HISTOGRAM = 150
_COUNTS = (
    ("browser.engagement.total_uri_count", 60),
    ("browser.engagement.unique_domains_count", 11),
    ("browser.engagement.tab_open_event_count", 14),
    ("browser.engagement.max_concurrent_tab_count", 9),
    ("browser.engagement.window_open_event_count", 2),
    ("browser.engagement.active_ticks", 300),
    ("browser.engagement.max_concurrent_window_count", 1),
    ("media.video_play_time_ms", 400_000),
    ("power.total_cpu_time_ms", 90_000),
    ("power.total_thread_wakeups", 800_000),
    ("places.previousday_visits", 45),
)
_ENTRIES = ("google.urlbar", "google.contextmenu", "bing.urlbar", "ddg.searchbar", "wikipedia.urlbar")
_EVENTS = (
    ("navigation", "search", ("urlbar", "searchbar", "about_newtab"), ("enter", "suggestion", "alias")),
    ("urlbar", "engagement", ("click", "enter"), ("typed", "pasted", "topsites")),
    ("urlbar", "abandonment", ("blur",), ("typed", "topsites")),
    ("security.ui.protections", "show", ("protection_report",), ("protectionReportStats",)),
    ("addonsManager", "update", ("extension", "theme"), ("addon-1@example.org", "addon-2@example.org")),
    ("pwmgr", "doorhanger_submitted", ("save", "update"), ("new", "old")),
    ("pictureinpicture", "create", ("player",), ("video", "context")),
    ("devtools.main", "open", ("tools",), ("inspector", "webconsole")),
)
_CRASH_REASONS = (
    None,
    None,
    "MOZ_RELEASE_ASSERT(mIsReady)",
    "Shutdown hanging at step AppShutdownConfirmed",
    "MOZ_CRASH(out of memory)",
)
_GLEAN = "67.3.2"


def telemetry_ping(moment: Moment, doctype: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The common part of telemetry v4 around a payload, without an environment."""
    return {
        "type": doctype,
        "id": moment.document_id,
        "creationDate": creation_date(moment.created),
        "version": 4,
        "application": application(moment.client),
        "payload": payload,
        "clientId": moment.client.client_id,
    }


def new_profile_ping(rng: random.Random, moment: Moment | None = None) -> dict[str, Any]:
    """A profile's first ping."""
    moment = moment or draw_moment(rng, reason="startup")
    scalars = {"startup.profile_selection_reason": "firstrun-created-default", "startup.profile_count": 1}
    payload = {"reason": moment.reason, "processes": {"parent": {"scalars": scalars}}}
    ping = telemetry_ping(moment, "new-profile", payload)
    return {
        **ping,
        "profileGroupId": moment.client.group_id,
        "environment": environment(moment.client, moment.today),
    }


def main_ping(rng: random.Random, size: int, moment: Moment | None = None) -> dict[str, Any]:
    """What one subsession measured, as about `size` bytes of JSON (SMALLEST … LARGEST). Below 2.5 KB it leaves out
    the environment, as an interrupted session may."""
    moment = moment or draw_moment(rng)
    payload: dict[str, Any] = {"ver": 4, "simpleMeasurements": {"totalTime": moment.session_length, "main": 61}}
    if size >= _NEEDS_INFO:
        payload["info"] = _info(moment)
    else:
        payload["info"] = {"reason": moment.reason, "subsessionLength": moment.subsession_length}
    ping = _with_environment(telemetry_ping(moment, "main", payload), moment, size)
    if size >= _NEEDS_ENVIRONMENT:
        payload["simpleMeasurements"] |= {"sessionRestored": 2000 + rng.randrange(9000), "activeTicks": 40}
        payload["processes"] = {"parent": _scalars(rng, moment)}
    else:
        payload["processes"] = {"parent": {"scalars": {}}}
    _fill(rng, payload, size - len(orjson.dumps(ping)), moment.subsession_length / 3600)
    return ping


def event_ping(rng: random.Random, size: int, moment: Moment | None = None) -> dict[str, Any]:
    """What a person did, as about `size` bytes of JSON (SMALLEST … LARGEST)."""
    moment = moment or draw_moment(rng)
    events: list[list[Any]] = []
    payload = {
        "reason": moment.reason,
        "processStartTimestamp": int(moment.session_started.timestamp()) // 60 * 60_000,
        "sessionId": moment.session_id,
        "subsessionId": moment.subsession_id,
        "lostEventsCount": 0,
        "events": {"parent": events},
    }
    ping = _with_environment(telemetry_ping(moment, "event", payload), moment, size)
    room = size - len(orjson.dumps(ping))
    since_start_ms = 2000
    while room > 0 or not events:
        since_start_ms += 1 + int(rng.expovariate(1 / 30_000))
        event = _event(rng, since_start_ms)
        events.append(event)
        room -= len(orjson.dumps(event)) + 1
    return ping


def crash_ping(rng: random.Random, moment: Moment | None = None) -> dict[str, Any]:
    """A crash of the browser or of one of its processes."""
    moment = moment or draw_moment(rng)
    client = moment.client
    reason = rng.choice(_CRASH_REASONS)
    metadata = {
        "ProductName": "Firefox",
        "ProductID": APPLICATION_ID,
        "Version": client.build.version,
        "BuildID": client.build.number,
        "ReleaseChannel": client.build.channel,
        "CrashTime": str(int(moment.created.timestamp())),
        "UptimeTS": f"{moment.session_length}.{rng.randrange(1000):03d}",
        "StartupCrash": "1" if moment.session_length < 60 else "0",
        "SecondsSinceLastCrash": str(int(rng.lognormvariate(11, 2))),
    }
    if reason is not None:
        metadata["MozCrashReason"] = reason
    if client.system.name == "Windows_NT":
        metadata["AvailablePhysicalMemory"] = str(client.memory_mb * rng.randrange(20_000, 800_000))
    payload = {
        "crashDate": f"{moment.created:%Y-%m-%d}",
        "crashTime": f"{moment.created:%Y-%m-%dT%H}:00:00.000Z",
        "crashId": draw_uuid(rng),
        "sessionId": moment.session_id,
        "processType": rng.choice(("main", "content", "content", "content", "gpu")),
        "version": 1,
        "minidumpSha256Hash": f"{rng.getrandbits(256):064x}",
        "hasCrashEnvironment": True,
        "metadata": metadata,
    }
    return {**telemetry_ping(moment, "crash", payload), "environment": environment(client, moment.today)}


def baseline_ping(rng: random.Random, moment: Moment | None = None) -> dict[str, Any]:
    """Glean's sign of life: at the begin (`active`) and the end (`inactive`) of a session."""
    moment = moment or draw_moment(rng, reason="inactive")
    metrics: dict[str, Any] = {
        "uuid": {"legacy.telemetry.client_id": moment.client.client_id},
        "boolean": {
            "usage.is_default_browser": moment.client.is_default,
            "policies.is_enterprise": moment.client.is_enterprise,
        },
        "string": {"startup.profile_selection_reason": "default", "usage.distribution_id": "default"},
    }
    if moment.reason == "inactive":
        metrics["timespan"] = {"glean.baseline.duration": {"time_unit": "second", "value": moment.session_length}}
        metrics["counter"] = {"browser.engagement.uri_count": int(rng.lognormvariate(3, 1.2))}
        metrics["labeled_counter"] = {"glean.validation.pings_submitted": {"baseline": 1}}
    return {**_glean(moment, minute), "metrics": metrics}


def health_ping(rng: random.Random, moment: Moment | None = None) -> dict[str, Any]:
    """Glean's account of its own uploads."""
    moment = moment or draw_moment(rng, reason="pre_init")
    times = sorted(int(rng.lognormvariate(18, 0.8)) for _ in range(1 + rng.randrange(6)))
    metrics = {
        "uuid": {"legacy.telemetry.client_id": moment.client.client_id},
        "counter": {"glean.health.init_count": 1 + moment.sequence},
        "labeled_counter": {"glean.validation.pings_submitted": {"baseline": 2, "health": 1}},
        "timing_distribution": {
            "glean.upload.send_success": {"values": {str(time): 1 for time in dict.fromkeys(times)}, "sum": sum(times)}
        },
        "object": {
            "glean.health.data_directory_info": [
                {"dir_name": name, "dir_exists": True} for name in ("db", "events", "pending_pings")
            ]
        },
    }
    return {**_glean(moment, millisecond), "metrics": metrics}


def _with_environment(ping: dict[str, Any], moment: Moment, size: int) -> dict[str, Any]:
    if size < _NEEDS_ENVIRONMENT:
        return ping
    made = environment if size >= _FULL_ENVIRONMENT else small_environment
    return {**ping, "profileGroupId": moment.client.group_id, "environment": made(moment.client, moment.today)}


def _info(moment: Moment) -> dict[str, Any]:
    client = moment.client
    return {
        "reason": moment.reason,
        "revision": "https://hg.mozilla.org/mozilla-central/rev/a9effd9e521653405f0ffd311e8edf90bde92237",
        "timezoneOffset": client.zone,
        "previousBuildId": client.earlier_build if client.earlier_build != client.build.number else None,
        "sessionId": moment.session_id,
        "subsessionId": moment.subsession_id,
        "previousSessionId": moment.previous_session_id,
        "previousSubsessionId": moment.previous_subsession_id,
        "subsessionCounter": moment.subsession_counter,
        "profileSubsessionCounter": moment.profile_subsession_counter,
        "sessionStartDate": hour(moment.session_started, client.zone),
        "subsessionStartDate": hour(moment.subsession_started, client.zone),
        "sessionLength": moment.session_length,
        "subsessionLength": moment.subsession_length,
    }


def _scalars(rng: random.Random, moment: Moment) -> dict[str, Any]:
    hours = moment.subsession_length / 3600
    counts = {name: int(usual * hours * rng.lognormvariate(0, 0.8)) + 1 for name, usual in _COUNTS}
    return {
        "scalars": {
            **counts,
            "browser.engagement.session_time_including_suspend": moment.session_length * 1000,
            "policies.is_enterprise": moment.client.is_enterprise,
            "startup.profile_selection_reason": "default",
        },
        "keyedScalars": {
            "browser.search.content.urlbar": {rng.choice(_ENTRIES): 1 + int(rng.expovariate(0.3))},
            "browser.engagement.navigation.urlbar": {"search_enter": 1 + int(rng.expovariate(0.2))},
        },
    }


def _fill(rng: random.Random, payload: dict[str, Any], room: int, hours: float) -> None:
    """Add histograms to the payload while there is room for them (bytes): first the parent's, last the GPU's."""
    parent: dict[str, Any] = {}
    keyed: dict[str, Any] = {}
    content: dict[str, Any] = {"histograms": {}, "keyedHistograms": {}}
    gpu: dict[str, Any] = {}
    named = [(probe, key) for probe, keys in KEYED for key in keys]
    room -= 60
    for into, key, probe in _places(rng, parent, keyed, content, gpu, named):
        if room < _SMALLEST_HISTOGRAM:
            break
        histogram = draw_histogram(rng, probe, hours)
        cost = len(orjson.dumps(histogram)) + len(key or probe.name) + 4
        if cost > room + 60:
            continue
        if not key:
            into[probe.name] = histogram
        else:
            cost += 0 if probe.name in into else len(probe.name) + 5
            into.setdefault(probe.name, {})[key] = histogram
        room -= cost
    payload["histograms"], payload["keyedHistograms"] = parent, keyed
    if content["histograms"] or content["keyedHistograms"]:
        payload["processes"]["content"] = content
    if gpu:
        payload["processes"]["gpu"] = {"histograms": gpu}


def _places(
    rng: random.Random,
    parent: dict[str, Any],
    keyed: dict[str, Any],
    content: dict[str, Any],
    gpu: dict[str, Any],
    named: list[tuple[Probe, str]],
) -> Iterator[tuple[dict[str, Any], str, Probe]]:
    """Where the next histogram may go: (object, key or "", probe)."""
    for probe in rng.sample(PROBES, len(PROBES)):
        yield parent, "", probe
    for probe, key in rng.sample(named, len(named) // 2):
        yield keyed, key, probe
    for probe in rng.sample(PROBES, len(PROBES)):
        yield content["histograms"], "", probe
    for probe, key in rng.sample(named, len(named)):
        yield content["keyedHistograms"], key, probe
    for probe in rng.sample(PROBES, len(PROBES)):
        yield gpu, "", probe


def _event(rng: random.Random, at_ms: int) -> list[Any]:
    category, method, objects, values = rng.choice(_EVENTS)
    event: list[Any] = [at_ms, category, method, rng.choice(objects)]
    chance = rng.random()
    if chance < 0.3:
        return event
    value = rng.choice(values) if chance < 0.8 else None
    extra = {"n_chars": str(rng.randrange(40)), "n_results": str(rng.randrange(11)), "sap": "urlbar"}
    return [*event, value] if chance < 0.5 else [*event, value, extra]


def _glean(moment: Moment, date: Callable[[datetime, int], str]) -> dict[str, Any]:
    client = moment.client
    first_run = moment.created - timedelta(days=client.age_days)
    info = {
        "telemetry_sdk_build": _GLEAN,
        "app_build": client.build.number,
        "app_display_version": client.build.display,
        "app_channel": client.build.channel,
        "architecture": "x86_64" if client.system.abi.startswith("x86_64") else "aarch64",
        "os": client.system.glean_name,
        "os_version": client.system.glean_version,
        "locale": client.locale,
        "client_id": client.glean_id,
        "first_run_date": day(first_run, client.zone),
        "session_id": moment.session_id,
        "session_count": moment.profile_subsession_counter,
    }
    if client.system.name == "Windows_NT":
        info["windows_build_number"] = int(client.system.build)
    return {
        "ping_info": {
            "seq": moment.sequence,
            "start_time": date(moment.subsession_started, client.zone),
            "end_time": date(moment.created, client.zone),
            "reason": moment.reason,
        },
        "client_info": info,
    }
