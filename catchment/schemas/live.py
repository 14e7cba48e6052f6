"""The registry that a running service goes by: loaded from its sources, and loaded again when they change.

    look ─▶ changed? ─▶ the same twice? ─▶ read ─▶ whole registry good? ─┬─ yes ─▶ current, kept in the home
                                                                         └─ no ──▶ told; the last good one stays

A registry is taken whole or not at all. What is half written is not taken: the sources must look the same twice before
they are read, and once more after. Only what has changed is compiled. With nothing good to stay with (a new home),
what is usable in a bad one is used, and its bad schemas refuse their documents; nothing waits for a schema, and what
was refused keeps its whole submission for `catchment replay`.

After a restart with broken sources the copy in the home (`kept.py`) goes on. It counts for the same list of sources
only: when the setting has been changed, a folder that does not exist stops the start as ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

from catchment import metrics
from catchment.clock import Clock, utc
from catchment.errors import Busy, CatchmentError, Corrupt
from catchment.events import Events
from catchment.health import WARNING, Finding
from catchment.objects.port import ObjectStore
from catchment.schemas.kept import Good, Kept
from catchment.schemas.refusals import refusals
from catchment.schemas.registry import BUILTIN, Registry
from catchment.schemas.settings import SchemaSettings
from catchment.schemas.sources import FolderSource, Source, Tree, source_of

SCHEMAS = metrics.gauge("schemas_registered", "Schemas that this process goes by.", "schemas")
PROBLEMS = metrics.gauge("schemas_problems", "What is wrong with the schemas as their sources are now.", "problems")
RELOADS = metrics.counter(
    "schemas_reloads_total", "Times that changed schemas were read, by what became of them.", "reloads", ("outcome",)
)
SETTLE_S = 0.25
"""Between the two looks that must be the same."""
TOLD = 20
"""Most problems that get an event each."""
ATTEMPTS = 3

Judge = Callable[[Registry, Registry], Sequence[str]]
"""What is wrong with going from one registry to another, a line each."""


class LiveRegistry:
    """The current registry of some sources. `current` is opened when it is first asked for. Any thread may use it."""

    def __init__(
        self,
        sources: Sequence[Source],
        kept: Kept,
        clock: Clock,
        events: Events,
        *,
        reload_s: float = 1.0,
        judge: Judge = lambda old, new: (),
    ) -> None:
        """The last source is the folder that schemas are added to. `judge` is asked of each change."""
        self._sources = tuple(sources)
        self._kept = kept
        self._clock = clock
        self._events = events
        self._reload_s = reload_s
        self._judge = judge
        self._lock = threading.RLock()
        self._registry: Registry | None = None
        self._is_good = False
        self._problems: tuple[str, ...] = ()
        self._unreadable = ""
        self._loaded_ns = 0
        self._taken: Hashable = None
        self._last_look: Hashable = None
        self._followers: list[Callable[[], None]] = []
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def current(self) -> Registry:
        """The registry to go by now. Raises BadConfig or Unavailable when the sources cannot be read and no good
        registry of them is kept."""
        if self._registry is None:
            with self._lock:
                if self._registry is None:
                    self._open()
        assert self._registry is not None
        return self._registry

    @property
    def loaded_ns(self) -> int:
        """When the current registry was loaded from its sources, ns since the epoch, UTC."""
        _ = self.current
        return self._loaded_ns

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the sources as they are now, a line each; empty when they are what is current."""
        _ = self.current
        return (self._unreadable, *self._problems) if self._unreadable else self._problems

    def look(self) -> bool:
        """Look at the sources once; whether the registry has become another. A change is taken by the second look that
        finds it, or a later one."""
        with self._lock:
            is_changed = self._look_once()
        if is_changed:
            for call in self._followers:
                call()
        return is_changed

    def watch(self) -> None:
        """Look again and again, on a thread, until `close`; not before somebody has asked for `current`."""
        self._watcher = threading.Thread(target=self._watch, name="schemas", daemon=True)
        self._watcher.start()

    def follow(self, call: Callable[[], None]) -> None:
        """Call this, on the thread that looked, whenever `current` has become another."""
        self._followers.append(call)

    def close(self) -> None:
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()

    def check(self) -> list[Finding]:
        """For the health of a service."""
        if self._registry is None or not self.problems:
            return []
        first, *more = self.problems
        stays = (
            f"going on with the schemas of {utc(self._loaded_ns):%Y-%m-%d %H:%M:%S} UTC"
            if self._is_good
            else "its documents are refused"
        )
        others = f" (and {len(more)} more)" if more else ""
        return [Finding("schemas_refused", WARNING, f"{first}{others}; {stays}")]

    def propose(self, files: Mapping[str, bytes]) -> tuple[Registry, list[str]]:
        """The registry as it would be with these files (by `<namespace>/<doctype>/<name>`) in the last source, and what
        is wrong with it. Changes nothing."""
        *trees, last = self._read()
        proposed = Registry.of([*trees, Tree(last.place, {**last.files, **files})], self.current)
        return proposed, [*proposed.check(), *self._judge(self.current, proposed)]

    def _open(self) -> None:
        good, kept = self._good()
        try:
            self._taken, trees = self._settled()
        except CatchmentError as error:
            if good is None:
                raise
            self._swap(kept, good.loaded_ns, is_good=True)
            self._be_unreadable(error)
            return
        if good is not None:
            self._swap(kept, good.loaded_ns, is_good=True)
        self._take(trees)

    def _good(self) -> tuple[Good | None, Registry]:
        """What is kept, and its registry."""
        try:
            good = self._kept.read()
        except Corrupt as error:
            self._events.warning("schemas_not_kept", error=error)
            good = None
        registry = Registry.of(good.trees if good else ())
        return (good if good and registry.identity == good.identity else None), registry

    def _settled(self) -> tuple[Hashable, list[Tree]]:
        """The sources as they are, read while they did not change if that can be had at once."""
        for attempt in range(ATTEMPTS):
            try:
                seen = self._look()
                trees = self._read()
                if self._look() == seen or attempt == ATTEMPTS - 1:
                    return seen, trees
            except Busy:
                if attempt == ATTEMPTS - 1:
                    raise
            self._stopping.wait(SETTLE_S)
        raise AssertionError("the last attempt returns or raises")

    def _look_once(self) -> bool:
        _ = self.current
        try:
            seen = self._look()
            if seen != self._taken and seen == self._last_look:
                trees = self._read()
                if self._look() == seen:
                    self._taken = seen
                    self._be_readable()
                    return self._take(trees)
            self._last_look = seen
            self._be_readable()
        except Busy:
            self._last_look = None
        except CatchmentError as error:
            self._be_unreadable(error)
        return False

    def _look(self) -> Hashable:
        return tuple(source.look() for source in self._sources)

    def _read(self) -> list[Tree]:
        return [source.read() for source in self._sources]

    def _take(self, trees: list[Tree]) -> bool:
        """Make these trees the registry, or tell why not; whether it has become another."""
        before = self._registry
        registry = Registry.of(trees, before)
        if before is not None and self._is_good and registry.identity == before.identity and not registry.problems:
            if self._problems:
                self._events.info("schemas_mended", identity=registry.identity[:12])
            self._tell([])
            return False
        problems = registry.check()
        problems += self._judge(before, registry) if before is not None and self._is_good else ()
        if problems and self._is_good:
            RELOADS.labels("refused").inc()
        else:
            self._swap(registry, self._clock.time_ns(), is_good=not problems)
            RELOADS.labels("partly" if problems else "loaded").inc()
        self._tell(problems)
        if not problems:
            self._keep(Good(tuple(trees), self._loaded_ns, registry.identity))
        return self._registry is not before

    def _swap(self, registry: Registry, loaded_ns: int, *, is_good: bool) -> None:
        self._registry, self._is_good, self._loaded_ns = registry, is_good, loaded_ns
        SCHEMAS.set(len(registry.all()))
        if self._watcher is not None:  # who asks once is told of trouble only
            came = {"revisions": ", ".join(registry.revisions)} if registry.revisions else {}
            identity, since = registry.identity[:12], utc(loaded_ns)
            self._events.info("schemas_loaded", identity=identity, schemas=len(registry.all()), since=since, **came)

    def _tell(self, problems: Sequence[str]) -> None:
        self._problems = tuple(problems)
        PROBLEMS.set(len(self.problems))
        for problem in self._problems[:TOLD]:
            self._events.warning("schema_refused", problem=problem)
        if problems and self._is_good:
            self._events.warning(
                "schemas_refused", problems=len(problems), stays=self.current.identity[:12], since=utc(self._loaded_ns)
            )

    def _keep(self, good: Good) -> None:
        try:
            self._kept.write(good)
        except OSError as error:
            self._events.warning("schemas_not_kept", error=error)

    def _be_unreadable(self, error: CatchmentError) -> None:
        if str(error) != self._unreadable:
            self._unreadable = str(error)
            RELOADS.labels("unreadable").inc()
            PROBLEMS.set(len(self.problems))
            self._events.warning("schemas_unreadable", error=error)

    def _be_readable(self) -> None:
        if self._unreadable:
            self._unreadable = ""
            PROBLEMS.set(len(self.problems))
            self._events.info("schemas_readable")

    def _watch(self) -> None:
        while not self._stopping.wait(SETTLE_S if self._last_look != self._taken else self._reload_s):
            if self._registry is None:
                continue
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  the watch goes on: what it cannot do is told
                self._be_unreadable(CatchmentError(f"looking at the schemas failed: {type(error).__name__}: {error}"))


def open_live(
    settings: SchemaSettings, home: Path, store: Callable[[], ObjectStore], clock: Clock, events: Events
) -> LiveRegistry:
    """The live registry that the settings name; `store` opens the object store if a source is in it."""
    builtin: list[Source] = [FolderSource("builtin", BUILTIN, clock, is_ours=True)] if settings.builtin else []
    named = [source_of(name, clock, store) for name in settings.paths]
    added = FolderSource("added", added_folder(settings, home), clock, is_ours=True)
    sources = [*builtin, *named, added]
    kept = Kept(home, [source.name for source in sources])

    def judge(old: Registry, new: Registry) -> list[str]:
        """Changes that break something; not those of Catchment's own schemas, which come with an upgrade."""
        found = refusals(old, new, settings.allow_incompatible)
        return [str(refusal) for refusal in found if not refusal.refused.is_builtin]

    return LiveRegistry(sources, kept, clock, events, reload_s=settings.reload_s, judge=judge)


def added_folder(settings: SchemaSettings, home: Path) -> Path:
    """The folder that schemas are added to."""
    return home / settings.added
