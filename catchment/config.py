"""Configuration: `catchment.toml`, then `CATCHMENT_<SECTION>__<KEY>` variables, read once at start and frozen.

A setting that is a table of texts (`Pairs`, for the options of another's library) takes dotted names in the file, and
one variable for each: `CATCHMENT_LOG__KAFKA__SASL_PASSWORD` is `sasl.password` in `[log.kafka]`.

Each section is a frozen dataclass declared beside its user with `option(...)`; this module only knows how to fill
them. Unknown sections and keys, and values of the wrong type or out of range, stop the start with advice. `Origin`
remembers where each value came from, for `catchment config`.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from catchment.errors import BadConfig

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]
"""Names and texts of a table, sorted by name."""
_ADVICE = "see `catchment config` for all settings"
_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """A setting of a section dataclass: its default, one sentence, and its rule.

    `check` returns what is wrong with a value, or None. A `secret` is printed starred. Texts, numbers, booleans,
    `tuple[str, ...]` (a list in TOML, comma-separated in a variable) and `Pairs` (a table) are the types that a setting
    may have.
    """
    metadata = {"help": help, "unit": unit, "min": minimum, "max": maximum, "secret": secret, "check": check}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it stands: for `catchment config` and `docs/settings.md`."""

    section: str
    name: str
    value: Any
    default: Any
    origin: str
    unit: str
    help: str
    secret: bool

    @property
    def variable(self) -> str:
        return f"CATCHMENT_{self.section.upper()}__{self.name.upper()}"

    @property
    def shown(self) -> str:
        return ", ".join(self.plain) if isinstance(self.value, tuple) else str(self.plain)

    @property
    def plain(self) -> Any:
        """The value for JSON, secrets starred."""
        if self.secret and self.value:
            return "*****"
        if isinstance(self.value, tuple):
            return [item if isinstance(item, str) else _shown_pair(*item) for item in self.value]
        return self.value


class Config:
    """All sections, filled. `config.section(EdgeSettings)` returns the frozen dataclass."""

    def __init__(self, sections: Mapping[type, Any], settings: Sequence[Setting], source: Path | None) -> None:
        self._sections = dict(sections)
        self.settings = list(settings)
        self.source = source

    def section(self, kind: type[T]) -> T:
        return cast(T, self._sections[kind])


def load(
    declared: Mapping[str, type],
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Fill the `declared` sections (name → dataclass) from the file and the environment.

    `path` is the file (default: `catchment.toml` in the working directory, if it is there; `CATCHMENT_CONFIG` names
    another). Raises BadConfig naming the first bad key or value, its rule and what to do.
    """
    environment = os.environ if environment is None else environment
    named = path or (Path(environment["CATCHMENT_CONFIG"]) if environment.get("CATCHMENT_CONFIG") else None)
    source = named or Path("catchment.toml")
    if named is not None and not source.is_file():
        raise BadConfig(f"{source}: no such file; create it or leave it out to run on the defaults")
    document = _read(source) if source.is_file() else {}
    _refuse_unknown(f"{source}: section", document, declared)
    given: dict[tuple[str, str], tuple[Any, str]] = {}
    for section, table in document.items():
        if not isinstance(table, dict):
            raise BadConfig(f"{source}: `{section}` is {table!r}, must be a section like [{section}]; {_ADVICE}")
        _refuse_unknown(f"{source}: [{section}] key", table, {f.name: f for f in fields(declared[section])})
        for name, value in table.items():
            given[section, name] = (value, f"{source}")
    for variable, text in environment.items():
        if not variable.startswith("CATCHMENT_") or "__" not in variable:
            continue
        section, _, name = variable.removeprefix("CATCHMENT_").lower().partition("__")
        name, _, part = name.partition("__")
        _refuse_unknown(f"{variable}: section", [section], declared)
        _refuse_unknown(f"{variable}: key", [name], {f.name: f for f in fields(declared[section])})
        if part:
            above, origin = given.get((section, name), ({}, ""))
            table = {**(_flat(above) if isinstance(above, dict) else {}), part.replace("_", "."): text}
            given[section, name] = (table, f"{origin}, {variable}" if origin else variable)
        else:
            given[section, name] = (text, variable)
    filled: dict[type, Any] = {}
    settings: list[Setting] = []
    for section, kind in declared.items():
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        for f in fields(kind):
            value, origin = f.default, "default"
            if (section, f.name) in given:
                raw, origin = given[section, f.name]
                value = _typed(raw, hints[f.name], f"{origin}: [{section}] {f.name}")
                _check(value, f.metadata, f"{origin}: [{section}] {f.name}")
            assert f.default is not MISSING
            values[f.name] = value
            meta = f.metadata
            settings.append(
                Setting(section, f.name, value, f.default, origin, meta["unit"], meta["help"], meta["secret"])
            )
        filled[kind] = kind(**values)
    return Config(filled, settings, source if source.is_file() else None)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: not valid TOML: {error}; see https://toml.io") from error


def _refuse_unknown(where: str, names: Any, known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(sorted(known))}"
            raise BadConfig(f"{where} `{name}` is unknown; {advice}")


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A table of TOML with its dotted names, which TOML takes for tables in tables, written out again."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _shown_pair(name: str, text: str) -> str:
    is_secret = any(word in name for word in ("password", "secret", "key", "pem", "config", "token"))
    return f"{name}={'*****' if is_secret and text else text}"


def _pairs(raw: Any, where: str) -> Pairs:
    if not isinstance(raw, dict):
        raise BadConfig(f"{where} is {raw!r}, must be a table of names and texts, or one variable for each name")
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in _flat(raw).items()}
    for name, value in texts.items():
        if not isinstance(value, str | int | float):
            raise BadConfig(f"{where}: {name} is {value!r}, must be a text or a number")
    return tuple(sorted((name, str(value)) for name, value in texts.items()))


def _typed(raw: Any, kind: Any, where: str) -> Any:
    if kind == Pairs:
        return _pairs(raw, where)
    if kind == tuple[str, ...]:
        items = [item.strip() for item in raw.split(",") if item.strip()] if isinstance(raw, str) else raw
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise BadConfig(f'{where} is {raw!r}, must be a list of texts like ["a", "b"]')
        return tuple(items)
    if isinstance(raw, str) and kind is not str:
        raw = _parsed(raw, kind)
    if kind is float and type(raw) is int:
        raw = float(raw)
    if type(raw) is not kind or (kind is float and not math.isfinite(raw)):
        raise BadConfig(f"{where} is {raw!r}, must be {_KINDS[kind]}")
    return raw


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    try:
        return kind(text.replace("_", ""))
    except ValueError:
        return text


def _check(value: Any, meta: Mapping[str, Any], where: str) -> None:
    unit = f" {meta['unit']}" if meta["unit"] else ""
    if meta["min"] is not None and value < meta["min"]:
        raise BadConfig(f"{where} is {value}, must be at least {meta['min']}{unit}")
    if meta["max"] is not None and value > meta["max"]:
        raise BadConfig(f"{where} is {value}, must be at most {meta['max']}{unit}")
    wrong = meta["check"](value) if meta["check"] else None
    if wrong:
        raise BadConfig(f"{where} is {value!r}: {wrong}")
