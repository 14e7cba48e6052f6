"""The shape of the code, held by reading its imports: floors point down, stages never meet, files stay small.

`FLOORS` below is the house from the bottom up; `docs/architecture.md` tells why. Imports count wherever they stand,
also inside functions and for types only; a circle is one of imports that run.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "catchment"
LONGEST_FILE = 400

FLOORS = (
    {
        "",
        "archives",
        "errors",
        "clock",
        "config",
        "events",
        "metrics",
        "health",
        "message",
        "framing",
        "document",
        "service",
        "journal",
        "directories",
        "units",
    },
    {"log", "objects", "schemas", "lake", "query", "database", "datasets", "keyvalue"},
    {"ingestion", "producers"},
    {"dataset", "observation", "services", "platform", "supervisor", "torture", "web", "cli", "__main__"},
)
"""Words, shared ground, stages, assembly: the folders and modules directly in `catchment/` ("" is its own file)."""

NEIGHBOURS = {
    ("lake", "objects"),
    ("lake", "schemas"),
    ("query", "lake"),
    ("schemas", "objects"),
    ("datasets", "objects"),
}
"""Who may import whom on the same floor, where floors keep their parts apart (shared ground and stages)."""

HEAVY = (
    "pyarrow",
    "duckdb",
    "pyiceberg",
    "sqlglot",
    "sqlalchemy",
    "alembic",
    "starlette",
    "uvicorn",
    "jsonschema_rs",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in SOURCES.items()}


def part_of(module: str) -> str:
    """The room of a module: `catchment.log.port` → `log`."""
    return module.split(".")[1] if "." in module else ""


def floor_of(module: str) -> int:
    return next((floor for floor, parts in enumerate(FLOORS) if part_of(module) in parts), 0)


def names_in(node: ast.AST) -> set[str]:
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def for_types_only(tree: ast.AST) -> set[ast.AST]:
    """What stands below `if TYPE_CHECKING:`, and so never runs."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in names_in(node.test)]
    return {inner for block in blocks for line in block.body for inner in ast.walk(line)}


def imports_of(module: str, *, that_run: bool) -> set[str]:
    """Modules of the package that `module` names in an import anywhere in its text, functions included."""
    found: set[str] = set()
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    ignored = for_types_only(TREES[module]) if that_run else set()
    for node in ast.walk(TREES[module]):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".rstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in SOURCES else base)
    return {name for name in found if name in SOURCES and name != module}


EDGES = [(module, target) for module in SOURCES for target in sorted(imports_of(module, that_run=False))]


def test_every_part_has_a_floor() -> None:
    parts = {part_of(module) for module in SOURCES}
    assert parts <= set().union(*FLOORS), f"give {parts - set().union(*FLOORS)} a floor in {Path(__file__).name}"


def test_imports_point_down() -> None:
    upward = [f"{module} → {target}" for module, target in EDGES if floor_of(target) > floor_of(module)]
    assert not upward, "a lower floor imports a higher one:\n" + "\n".join(upward)


def test_neighbours_on_a_floor_meet_only_where_it_is_allowed() -> None:
    met = [
        f"{module} → {target}"
        for module, target in EDGES
        if floor_of(module) == floor_of(target) in (1, 2)
        and part_of(module) != part_of(target)
        and (part_of(module), part_of(target)) not in NEIGHBOURS
    ]
    assert not met, "parts on one floor import each other (stages meet in topics and tables):\n" + "\n".join(met)


def cycles() -> Iterator[list[str]]:
    """Each cycle of imports once, as the path that closes it."""
    done: set[str] = set()
    running = {module: imports_of(module, that_run=True) for module in SOURCES}

    def visit(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
            return
        if module in done:
            return
        for target in sorted(running[module]):
            yield from visit(target, [*path, module])
        done.add(module)

    for module in SOURCES:
        yield from visit(module, [])


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = [" → ".join(cycle) for cycle in cycles()]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["catchment", "tests", "benchmarks", "scripts"])
def test_no_file_is_longer_than_a_room(folder: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for path, lines in lengths.items() if lines > LONGEST_FILE]
    assert not long, f"over {LONGEST_FILE} lines, split by what it is about:\n" + "\n".join(long)


def test_every_module_opens_with_what_it_holds() -> None:
    silent = [str(path.relative_to(ROOT)) for name, path in SOURCES.items() if not ast.get_docstring(TREES[name])]
    assert not silent, "no docstring: " + ", ".join(silent)


def test_a_package_file_holds_only_its_docstring() -> None:
    full = [
        str(path.relative_to(ROOT))
        for name, path in SOURCES.items()
        if path.name == "__init__.py" and path.parent != PACKAGE and len(TREES[name].body) > 1
    ]
    assert not full, "code in " + ", ".join(full)


def test_nothing_is_swallowed_silently() -> None:
    """A handler for everything that only passes, or `suppress(Exception)`, hides a loss."""
    broad = {"Exception", "BaseException", "CatchmentError"}
    found = []
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body):
                caught = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else broad
            elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "suppress":
                caught = {
                    part.id for argument in node.args for part in ast.walk(argument) if isinstance(part, ast.Name)
                }
            else:
                continue
            if caught & broad:
                found.append(f"{name}:{node.lineno}")
    assert not found, "swallowed: " + ", ".join(found)


def loaded(modules: list[str]) -> list[str]:
    """The engines that importing these modules loads."""
    code = f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n" + (
        f"print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_the_edge_stays_light() -> None:
    """The edge's idle memory is budgeted: it must not load the engines that other services use."""
    edge = [name for name in SOURCES if name.startswith("catchment.ingestion.edge")]
    if not edge:
        pytest.fail("there is no module catchment.ingestion.edge; correct its name in this test")
    assert loaded(edge) == []


def test_an_idle_console_stays_light() -> None:
    """Engines are loaded with the first question that needs them; the ledger's database is always asked."""
    assert set(loaded(["catchment.web.serve"])) <= {"starlette", "uvicorn", "sqlalchemy"}
