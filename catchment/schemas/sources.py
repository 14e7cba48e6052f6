"""Where schemas come from: a folder, a commit of a git repository, a prefix of the object store.

    schemas, /srv/schemas                      a folder; when it is in a git checkout, its commit is noted
    git+file:///srv/schemas.git#main:schemas   a folder of a branch, tag or commit, read out of the repository
    objects:schemas                            keys of the object store below this prefix

A source answers two questions: `look`, cheap, says whether something may have changed; `read` gives all files. Only
`<namespace>/<doctype>/*.schema.json` count; names that begin with a dot are somebody's own business.

Limits: a repository is one of this machine (`git fetch` is a job's work, not ours); a look at a folder costs a `stat`
a file (1 ms for 184 schemas), one at a repository a `git rev-parse`, one at objects a listing.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from catchment.clock import Clock
from catchment.errors import BadConfig, Busy, Missing, Unavailable
from catchment.objects.port import ObjectStore, Stored

SUFFIX = ".schema.json"
GIT = "git+file:"
OBJECTS = "objects:"
GIT_TIMEOUT_S = 30.0
LOCK_STALE_S = 60.0
"""A checkout's `index.lock` that is older was left behind by a git that died."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a source held at one moment. `files` are by their path below `place`, `<namespace>/<doctype>/<name>`;
    `revision` is a git commit, empty when there is none."""

    place: str
    files: Mapping[str, bytes]
    revision: str = ""


class Source(Protocol):
    """One place of schemas. Both verbs raise Unavailable when it cannot be read now, Busy when somebody is in the
    middle of changing it, BadConfig when nothing is there."""

    name: str
    """As the settings write it."""

    def look(self) -> Hashable:
        """Differs from the last answer when something has changed, and perhaps when nothing has."""
        ...

    def read(self) -> Tree: ...


class FolderSource:
    """A folder, which may be a git checkout."""

    def __init__(self, name: str, folder: Path, clock: Clock, *, is_ours: bool = False) -> None:
        """One of Catchment's own folders may be absent, and is in no checkout that anybody would want to know of."""
        self.name = name
        self._folder = folder
        self._clock = clock
        self._is_ours = is_ours

    def look(self) -> Hashable:
        self._refuse_half_a_checkout()
        marks = []
        for entry in self._files():
            try:
                status = entry.stat()
            except FileNotFoundError as error:
                raise Busy(f"schemas {self._folder}: {entry.name} has just gone; looking again") from error
            marks.append((entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
        return tuple(marks)

    def read(self) -> Tree:
        files = {}
        for entry in self._files():
            path = Path(entry.path)
            try:
                files[path.relative_to(self._folder).as_posix()] = path.read_bytes()
            except FileNotFoundError as error:
                raise Busy(f"schemas {self._folder}: {path.name} has just gone; looking again") from error
            except OSError as error:
                raise Unavailable(f"schema {path}: cannot be read: {error.strerror}; mend its permissions") from error
        return Tree(str(self._folder), files, self._commit())

    def _files(self) -> Iterator[os.DirEntry[str]]:
        if not self._folder.is_dir():
            if self._is_ours and not self._folder.exists():
                return
            raise BadConfig(
                f"[schemas] paths: {self._folder} is not a folder; name one that holds <namespace>/<doctype>/…"
            )
        try:
            for namespace in _entries(str(self._folder)):
                if namespace.is_dir():
                    for doctype in _entries(namespace.path):
                        if doctype.is_dir():
                            yield from (entry for entry in _entries(doctype.path) if entry.name.endswith(SUFFIX))
        except FileNotFoundError as error:
            raise Busy(f"schemas {self._folder}: a folder has just gone; looking again") from error
        except OSError as error:
            raise Unavailable(f"schemas {self._folder}: cannot be read: {error}; mend its permissions") from error

    def _git(self) -> Path | None:
        """The `.git` of the checkout that the folder is in."""
        if self._is_ours:
            return None
        return next((at / ".git" for at in (self._folder, *self._folder.parents) if (at / ".git").exists()), None)

    def _refuse_half_a_checkout(self) -> None:
        git = self._git()
        if git is None:
            return
        try:
            age_s = self._clock.time_ns() / 1e9 - (git / "index.lock").stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):  # no lock; or a linked work tree, whose `.git` is a file
            return
        if age_s < LOCK_STALE_S:
            raise Busy(f"schemas {self._folder}: git is changing the checkout; looking again")

    def _commit(self) -> str:
        if self._git() is None:
            return ""
        try:
            return git_output(self._folder, "rev-parse", "--verify", "HEAD").decode().strip()
        except Unavailable:  # no commit yet, or no git here: the files count, their commit is not known
            return ""


class GitSource:
    """A folder of a commit. What is being pushed is seen when the ref moves, which is one step."""

    def __init__(self, name: str) -> None:
        """`name` is `git+file://<repository>#<ref>[:<folder>]`."""
        place, _, rest = name.removeprefix(GIT).partition("#")
        self.name = name
        self._repository = Path("/" + place.lstrip("/")) if place.startswith("/") else Path(place)
        self._ref, _, folder = rest.partition(":")
        self._ref = self._ref or "HEAD"
        self._folder = folder.strip("/")
        if self._ref.startswith("-"):
            raise BadConfig(f"[schemas] paths: {name}: the ref {self._ref} begins with -; name a branch, tag or commit")

    def look(self) -> Hashable:
        if not self._repository.is_dir():
            raise BadConfig(f"[schemas] paths: {self.name}: {self._repository} is not a folder; name a repository")
        return git_output(self._repository, "rev-parse", "--verify", f"{self._ref}^{{commit}}").decode().strip()

    def read(self) -> Tree:
        commit = str(self.look())
        tree = f"{commit}:{self._folder}" if self._folder else commit
        packed = git_output(self._repository, "archive", "--format=tar", tree)
        files = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                parts = member.name.split("/")
                held = archive.extractfile(member) if member.isfile() else None
                if held is not None and len(parts) == 3 and not member.name.startswith(".") and _counts(parts[-1]):
                    files[member.name] = held.read()
        return Tree(f"{self._repository}#{self._ref}:{self._folder}", files, commit)


class ObjectsSource:
    """Keys below a prefix. What has not changed is not fetched again."""

    def __init__(self, name: str, store: ObjectStore) -> None:
        self.name = name
        prefix = name.removeprefix(OBJECTS).strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._store = store
        self._held: dict[Stored, bytes] = {}

    def look(self) -> Hashable:
        return tuple(self._listed())

    def read(self) -> Tree:
        held = {}
        for stored in self._listed():
            try:
                held[stored] = self._held[stored] if stored in self._held else self._store.get(stored.key)
            except Missing as error:
                raise Busy(f"schemas {self.name}: {stored.key} has just gone; looking again") from error
        self._held = held
        return Tree(self.name.rstrip("/"), {stored.key[len(self._prefix) :]: held[stored] for stored in held})

    def _listed(self) -> list[Stored]:
        below = ((stored, stored.key[len(self._prefix) :].split("/")) for stored in self._store.list(self._prefix))
        return [stored for stored, parts in below if len(parts) == 3 and _counts(parts[-1])]


def source_of(name: str, clock: Clock, store: Callable[[], ObjectStore]) -> Source:
    """The source that an entry of `[schemas] paths` names; `store` opens the object store when it is one of objects."""
    if name.startswith(GIT):
        return GitSource(name)
    if name.startswith(OBJECTS):
        return ObjectsSource(name, store())
    return FolderSource(name, Path(name), clock)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What stands in a folder, by name, but for hidden names."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _counts(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def git_output(folder: Path, *words: str) -> bytes:
    try:
        ran = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"git {' '.join(words)} in {folder}: {error}; is git installed?") from error
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise Unavailable(f"git {' '.join(words)} in {folder}: {said}; check the repository and the ref")
    return ran.stdout
