"""Who may ask, and what a browser may do with the answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from catchment.errors import BadConfig
from catchment.web import rendering
from catchment.web.guard import host_name
from catchment.web.serve import run_console
from catchment.web.settings import ConsoleSettings
from tests.web.scene import Scene

FOREIGN = {"Sec_Fetch_Site": "cross-site"}


@pytest.mark.parametrize("path", ["/", "/live", "/sql", "/static/console.css", "/nothing", "/__heartbeat__"])
def test_every_answer_forbids_what_is_foreign(scene: Scene, path: str) -> None:
    scene.run()
    headers = scene.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_no_template_has_a_script_or_a_style_of_its_own() -> None:
    for path in (rendering.HERE / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), path.name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), path.name


def test_nothing_is_marked_as_safe_to_show_unescaped() -> None:
    for path in (rendering.HERE / "templates").glob("*.html"):
        assert not re.search(r"\|\s*safe|autoescape", path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3", "console.example:80"]
)
def test_its_own_names_and_plain_addresses_are_answered(scene: Scene, host: str) -> None:
    scene.run(hosts=("console.example",))
    assert scene.get("/__lbheartbeat__", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "[evil]"]
)
def test_another_name_is_refused_with_the_setting_that_allows_it(scene: Scene, host: str) -> None:
    scene.run()
    page = scene.get("/", Host=host)
    assert page.status == 421
    assert "[console] hosts" in page.text


def test_names_are_read_from_host_headers() -> None:
    assert [host_name(host) for host in ("A.b:80", "[::1]:80", "a.", "[fe80::1]")] == ["a.b", "::1", "a", "fe80::1"]


@pytest.mark.parametrize("kind", [{}, {"Sec_Fetch_Dest": "image"}, {"Sec_Fetch_Dest": "document"}])
def test_a_query_that_another_site_sends_is_shown_and_not_run(scene: Scene, kind: dict[str, str]) -> None:
    scene.run()
    for path in ("/sql", "/sql/result"):
        page = scene.ask("select 41 + 1", path, **FOREIGN, **kind)
        assert "Another site has sent this query." in page.text
    assert scene.ask("select 1", "/sql/result.csv", **FOREIGN, **kind).status == 403
    assert not scene.has_engine


def test_a_link_that_a_person_follows_runs(scene: Scene) -> None:
    scene.run()
    page = scene.ask("select 41 + 1", "/sql", **FOREIGN, Sec_Fetch_Dest="document", Sec_Fetch_User="?1")
    assert ">42</td>" in page.text


def test_a_port_that_is_taken_stops_the_start_with_advice(scene: Scene, tmp_path: Path) -> None:
    import threading

    scene.run()
    with pytest.raises(BadConfig, match=r"console 127\.0\.0\.1:\d+ cannot be bound: .*; set \[console\] host or port"):
        run_console(ConsoleSettings(port=scene.port), scene, threading.Event(), lambda port: None)


def test_static_files_stay_in_their_folder(scene: Scene) -> None:
    scene.run()
    assert scene.get("/static/../app.py").status == 404
    assert scene.get("/static/%2e%2e/app.py").status == 404
    assert scene.get("/static/console.css").headers["cache-control"] == "no-cache"
