"""What the code imports, `pyproject.toml` names, the locks pin by hash; and no lock names a registry host."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

THROUGH_ANOTHER = {"python-multipart"}
"""Named, but imported only by another dependency: Starlette reads forms with it."""


def named(requirements: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(found.name): found for found in map(Requirement, requirements)}


DEPENDENCIES = named(PROJECT["dependencies"])
EXTRAS = {extra: named(names) for extra, names in PROJECT["optional-dependencies"].items()}


def imported() -> dict[str, set[str]]:
    """Distributions that the package imports, each with the modules that do."""
    owners = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in (ROOT / "catchment").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                tops = {node.module.split(".")[0]}
            else:
                continue
            for top in tops - set(sys.stdlib_module_names) - {"catchment"}:
                owner = canonicalize_name(owners.get(top, [top])[0])
                found.setdefault(owner, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_named() -> None:
    optional = set().union(*(names for extra, names in EXTRAS.items() if extra != "dev"))
    unnamed = {owner: places for owner, places in imported().items() if owner not in {*DEPENDENCIES, *optional}}
    assert not unnamed, f"name them in pyproject.toml: {unnamed}"


def test_what_is_named_is_imported() -> None:
    idle = set(DEPENDENCIES) - set(imported()) - THROUGH_ANOTHER
    assert not idle, f"no module imports {idle}"


def test_the_lock_pins_what_is_named() -> None:
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))
    for name, requirement in {**DEPENDENCIES, **EXTRAS["dev"]}.items():
        assert name in pinned, f"{name} is not in requirements.lock; run make lock"
        assert requirement.specifier.contains(pinned[name]), f"{requirement}, but {pinned[name]} is locked; make lock"


def test_every_locked_package_has_a_hash() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)
    without = [entry.split()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry]
    assert without == []


def test_locks_name_no_registry_host() -> None:
    country = (ROOT / "packaging" / "geo" / "package-lock.json").read_text(encoding="utf-8")
    assert re.findall(r"https?:|--index-url|--find-links", LOCK) == []
    assert re.findall(r"https?:|\"resolved\"", country) == []
    packages = json.loads(country)["packages"]
    assert all("integrity" in package for path, package in packages.items() if path)


def test_an_extra_that_a_message_advises_exists() -> None:
    advised: dict[str, str] = {}
    for path in (ROOT / "catchment").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtra" and len(node.args) == 2:
                extra = node.args[1]
                assert isinstance(extra, ast.Constant) and isinstance(extra.value, str), (
                    f"{path.name}: name the extra as a text"
                )
                advised[extra.value] = path.name
    missing = {extra: place for extra, place in advised.items() if extra not in EXTRAS}
    assert not missing, f"pyproject.toml has no extra for {missing}"
