"""Schemas out of a checkout, a repository and the object store."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from catchment.errors import BadConfig, Unavailable
from catchment.objects.open import open_objects
from catchment.schemas.sources import LOCK_STALE_S
from tests.schemas.live_kit import STRING, Scene, accepts, names, put, settle


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    ran = subprocess.run(
        ["git", *settings, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "schemas")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A work tree with `order` in its folder `schemas`, committed on branch main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    put(folder / "schemas", "order", STRING)
    (folder / "schemas" / "README.md").write_text("Our schemas")
    commit(folder)
    return folder


def test_a_checkout_has_its_commit_in_the_registry(tmp_path: Path, repository: Path) -> None:
    live = Scene(tmp_path, str(repository / "schemas")).start()
    assert names(live) == ["order.1"]
    assert live.current.revisions == (f"{repository / 'schemas'} {git(repository, 'rev-parse', 'HEAD')}",)


def test_a_checkout_in_progress_is_not_taken(tmp_path: Path, repository: Path) -> None:
    scene = Scene(tmp_path, str(repository / "schemas"))
    scene.clock.advance(time.time() - scene.clock.monotonic_s())
    live = scene.start()
    assert names(live) == ["order.1"]
    lock = repository / ".git" / "index.lock"
    lock.touch()
    put(repository / "schemas", "visit", STRING)
    assert not settle(live)
    assert live.problems == ()
    lock.unlink()
    assert settle(live)
    assert names(live) == ["order.1", "visit.1"]
    lock.touch()
    put(repository / "schemas", "third", STRING)
    scene.clock.advance(LOCK_STALE_S + 1)
    assert settle(live)


def test_a_branch_of_a_bare_repository_is_followed_commit_by_commit(tmp_path: Path, repository: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    scene = Scene(tmp_path, f"git+file://{bare}#main:schemas")
    live = scene.start()
    assert names(live) == ["order.1"]
    put(repository / "schemas", "visit", STRING)
    assert not settle(live)
    pushed = commit(repository)
    git(repository, "push", "-q", str(bare), "main")
    assert settle(live)
    assert names(live) == ["order.1", "visit.1"]
    assert live.current.revisions[0].endswith(pushed)
    (repository / "schemas" / "shop" / "visit" / "visit.1.schema.json").write_text("{")
    commit(repository)
    git(repository, "push", "-q", str(bare), "main")
    assert not settle(live)
    assert accepts(live, "visit", {"a": "x"})
    assert f"{bare}#main:schemas/shop/visit/visit.1.schema.json: cannot be read" in live.problems[0]


def test_a_commit_that_is_named_stays(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    put(repository / "schemas", "visit", STRING)
    commit(repository)
    assert names(Scene(tmp_path, f"git+file://{repository}#{first}:schemas").start()) == ["order.1"]
    assert names(Scene(tmp_path, f"git+file://{repository}#HEAD:schemas").start()) == ["order.1", "visit.1"]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("git+file:///nowhere.git#main", "/nowhere.git is not a folder"),
        ("git+file://{}#-x", "begins with -"),
        ("git+file://{}#none", "check the repository and the ref"),
        ("git+file://{}#main:none", "check the repository and the ref"),
    ],
)
def test_a_repository_that_cannot_be_read_says_why(tmp_path: Path, repository: Path, name: str, refused: str) -> None:
    with pytest.raises((BadConfig, Unavailable), match=refused):
        _ = Scene(tmp_path, name.format(repository)).start().current


def test_a_prefix_of_the_object_store_is_followed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "objects:team/schemas")
    store = open_objects("file:objects", scene.home)
    order = "team/schemas/shop/order/order.1.schema.json"
    store.put(order, b'{"required": ["a"]}')
    store.put("team/schemas-old/shop/x/x.1.schema.json", b"{}")
    store.put("team/schemas/README.md", b"Our schemas")
    live = scene.start()
    assert names(live) == ["order.1"]
    store.put("team/schemas/shop/visit/visit.1.schema.json", b"{}")
    assert settle(live)
    assert names(live) == ["order.1", "visit.1"]
    store.delete(order)
    store.put(order, b"{}")
    assert settle(live)
    assert accepts(live, "order", {})
