"""The quick yes never contradicts the validator: what an acceptor accepts, jsonschema-rs finds valid."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catchment.schemas import acceptor as acceptor_module
from catchment.schemas.acceptor import DRAFTS, HAS_COMPILED, acceptor_of
from catchment.schemas.patterns import read_pattern
from catchment.schemas.registry import BUILTIN, Registry
from tests.schemas.lookalikes import lookalike, mutated

pytestmark = pytest.mark.skipif(not HAS_COMPILED, reason="_accept.c was not compiled: jsonschema-rs judges all")

DRAFT = st.sampled_from(DRAFTS)


def accepts(schema: dict[str, Any], document: Any) -> bool:
    acceptor = acceptor_of(schema)
    return acceptor is not None and acceptor(document)


def is_valid(schema: dict[str, Any], document: Any) -> bool:
    compiled = jsonschema_rs.validator_for({"$schema": DRAFTS[0], **schema}, validate_formats=False)
    return bool(compiled.is_valid(document))


ACCEPTED: list[tuple[dict[str, Any], Any]] = [
    ({"type": "integer"}, 5),
    ({"type": ["number", "null"]}, 1.0),
    ({"type": "number", "minimum": 0, "maximum": 2.5}, 2.5),
    ({"minimum": 0, "exclusiveMinimum": True}, 1),
    ({"$schema": DRAFTS[2], "exclusiveMinimum": 0, "minimum": -1}, 1),
    ({"enum": ["a", 1, True, None, {}]}, True),
    ({"type": "string", "minLength": 2, "maxLength": 2}, "\U0001f600é"),
    ({"pattern": "^[0-9]{2,3}\\."}, "61.0"),
    ({"pattern": "b+$"}, "abb"),
    ({"pattern": "^[a-z-_][a-z0-9-_]*$"}, "-a_9"),
    ({"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": "integer"}}, ["a", 1, 2]),
    ({"items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, [True]),
    ({"required": ["a"], "properties": {"a": {}}, "additionalProperties": False}, {"a": [1.5]}),
    ({"patternProperties": {"^.*$": {"type": "integer"}}}, {"two\nlines": 1}),
    ({"$schema": DRAFTS[1], "propertyNames": {"maxLength": 3}, "maxProperties": 1}, {"abc": 1}),
    ({"allOf": [{"type": "object"}, {"required": ["a"]}], "anyOf": [{"minProperties": 1}]}, {"a": 1}),
    ({"oneOf": [{"type": "object"}, {"type": "null"}]}, None),
    (
        {"$ref": "#/definitions/tree", "definitions": {"tree": {"items": {"$ref": "#/definitions/tree"}}}},
        [[[]], []],
    ),
]


@pytest.mark.parametrize(("schema", "document"), ACCEPTED)
def test_what_is_usual_is_accepted(schema: dict[str, Any], document: Any) -> None:
    assert is_valid(schema, document)
    assert accepts(schema, document)


LEFT: list[tuple[dict[str, Any], Any]] = [
    ({"type": "integer"}, 1.0),
    ({"type": "integer"}, True),
    ({"type": "number"}, True),
    ({"enum": [1]}, True),
    ({"enum": [1]}, 1.0),
    ({"enum": [1.5]}, 1.5),
    ({"minimum": 0}, 2**53),
    ({"minimum": 0}, 2**64 - 1),
    ({"maximum": 2**60}, 1),
    ({"multipleOf": 2}, 4),
    ({"pattern": "^.$"}, "\n"),
    ({"pattern": "^[a-z]$"}, "é"),
    ({"pattern": "^(a|b)$"}, "a"),
    ({"patternProperties": {"^.*$": {"type": "integer"}}, "additionalProperties": False}, {"two\nlines": 1}),
    ({"uniqueItems": True}, [1, 2]),
    ({"not": {"type": "null"}}, 1),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1.5),
    ({"$schema": DRAFTS[2], "contentMediaType": "application/json"}, "{"),
    ({"dependencies": {"a": ["b"]}}, {"a": 1}),
    ({"additionalProperties": False}, {"a": 1}),
    ({"properties": {"a": {"id": "http://x/"}}, "allOf": [{"$ref": "#/definitions/b"}], "definitions": {"b": {}}}, 1),
    ({"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}, 1),
    ({"type": "object"}, (1,)),
    ({"pattern": "^" + "a*" * 30 + "b$"}, "a" * 60),
]


@pytest.mark.parametrize(("schema", "document"), LEFT)
def test_what_is_doubtful_is_left_to_the_validator(schema: dict[str, Any], document: Any) -> None:
    assert not accepts(schema, document)


def test_other_drafts_have_no_acceptor() -> None:
    assert acceptor_of({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}) is None
    assert acceptor_of({"$schema": DRAFTS[0], "type": "object"}) is not None


def test_a_document_as_deep_as_the_decoder_lets_in_is_accepted() -> None:
    schema = {"$ref": "#/definitions/tree", "definitions": {"tree": {"items": {"$ref": "#/definitions/tree"}}}}
    document: list[Any] = []
    for _ in range(253):
        document = [document]
    assert accepts(schema, document) and is_valid(schema, document)


def schemas(root: Path) -> Iterator[tuple[dict[str, Any], Callable[[Any], bool], Any]]:
    """Each schema with its acceptor and its validator."""
    for schema in Registry.load([root]).all():
        acceptor = acceptor_of(schema.document)
        if acceptor is not None:
            yield schema.document, acceptor, schema.validator


def checked(root: Path, documents: int, mutants: int, seed: int) -> tuple[int, int, int]:
    """Compare both judges over made-up documents of each schema and mutants of them: cases, valid, accepted."""
    chance = random.Random(seed)
    cases = valid = accepted = 0
    for schema, acceptor, validator in schemas(root):
        for _ in range(documents):
            document = lookalike(schema, chance)
            for number in range(mutants + 1):
                case = mutated(document, chance) if number else document
                says_yes, is_right = acceptor(case), validator.is_valid(case)
                assert is_right or not says_yes, (schema.get("$id"), orjson.dumps(case))
                cases += 1
                valid += is_right
                accepted += says_yes
    return cases, valid, accepted


@pytest.fixture(params=["built-in", "real"])
def root(request: pytest.FixtureRequest) -> Path:
    if request.param == "built-in":
        return BUILTIN
    shared: Path = request.getfixturevalue("shared_data")
    return shared / "pipeline-schemas" / "schemas"


def test_nothing_is_accepted_that_a_schema_refuses(root: Path) -> None:
    cases, valid, accepted = checked(root, documents=4, mutants=30, seed=14)
    assert cases > 1_000
    assert accepted > valid * 0.6 > cases * 0.06, f"{accepted} accepted of {valid} valid of {cases}"


def test_the_real_examples_are_judged_alike(shared_data: Path) -> None:
    """Examples that are labelled valid are nearly all accepted, those labelled invalid never."""
    registry = Registry.load([shared_data / "pipeline-schemas" / "schemas"])
    accepted: Counter[str] = Counter()
    for path in (shared_data / "pipeline-schemas" / "validation").glob("*/*.json"):
        doctype, version, *_, label, _ = path.name.split(".")
        schema = registry.find(path.parent.name, doctype, int(version)) if version.isdigit() else None
        acceptor = acceptor_of(schema.document) if schema else None
        if acceptor is not None:
            accepted[f"{label} {acceptor(orjson.loads(path.read_bytes()))}"] += 1
    assert accepted["fail True"] == 0
    assert accepted["pass True"] > 5 * accepted["pass False"]


def test_without_a_compiler_the_validator_judges_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "HAS_COMPILED", False)
    schema = next(iter(Registry.load([BUILTIN]).all()))
    assert acceptor_of(schema.document) is None
    violation = schema.violation(5)
    assert violation is not None and violation.keyword == "type"


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=4)
SMALL = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5, -2.0]) | st.text("ab1", max_size=3)
)
DOCUMENTS = st.recursive(
    SMALL | LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1", max_size=2), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
PATTERNS = st.sampled_from(["^a", "b$", "^[a-b]+$", "^.*$", "1", "^a?b{1,2}$", "^(a|b)$", "", "^$", "[1-1-]"])
COUNTS = st.integers(0, 3)
NAMES = st.sampled_from(["a", "b", "1", "ab"])


def keywords(inner: st.SearchStrategy[Any], draft: str) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of one draft, of all keywords that an acceptor knows, and some that it does not."""
    is_old = draft == DRAFTS[0]
    bounds = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2**53])
    known: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(SMALL, min_size=1, max_size=3, unique_by=orjson.dumps),
        "minimum": bounds,
        "maximum": bounds,
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "pattern": PATTERNS,
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "items": inner | st.lists(inner, min_size=1, max_size=2),
        "additionalItems": inner | st.booleans(),
        "uniqueItems": st.booleans(),
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "additionalProperties": inner | st.booleans(),
        "allOf": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "oneOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
        "$ref": st.just("#/definitions/a"),
        "title": st.just("a title"),
    }
    if not is_old:
        known |= {"const": SMALL, "exclusiveMinimum": bounds, "exclusiveMaximum": bounds, "propertyNames": inner}
        known |= {"contains": inner}
    chosen = st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in names})
    )
    if is_old:  # an excluded bound needs its bound
        excluded = st.fixed_dictionaries(
            {"minimum": bounds, "exclusiveMinimum": st.booleans(), "maximum": bounds, "exclusiveMaximum": st.booleans()}
        )
        return chosen | excluded
    return chosen


@st.composite
def made_up_schemas(draw: st.DrawFn) -> dict[str, Any]:
    draft = draw(DRAFT)
    inner = st.recursive(st.just({}), lambda below: keywords(below, draft), max_leaves=5)
    return {**draw(keywords(inner, draft)), "$schema": draft, "definitions": {"a": draw(inner)}}


@settings(max_examples=400, deadline=None)
@given(made_up_schemas(), st.lists(DOCUMENTS, min_size=5, max_size=20))
def test_nothing_is_accepted_that_a_made_up_schema_refuses(schema: dict[str, Any], documents: list[Any]) -> None:
    try:
        validator = jsonschema_rs.validator_for(schema, validate_formats=False)
    except ValueError:  # it refers to itself
        return
    acceptor = acceptor_of(schema)
    for document in documents:
        if acceptor is not None and acceptor(document):
            assert validator.is_valid(document), (schema, document)


SETS = st.sampled_from(["a", "\\.", ".", "[a-c]", "[0-9_.]", "[-a]", "[a-c-_]", "\\{", "-", "[^a]", "\\d", "(a)"])
COUNTED = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "{1,3}", "*?"])
EXPRESSIONS = st.builds(
    lambda begin, parts, end: begin + "".join(part + count for part, count in parts) + end,
    st.sampled_from(["", "^"]),
    st.lists(st.tuples(SETS, COUNTED), max_size=4),
    st.sampled_from(["", "$"]),
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.lists(st.text("abcd.0_-{ \n\té", max_size=6), min_size=5, max_size=30))
@example("[a-c]+a*[a-c]+", ["a"] * 5)  # the validator finds it in `a`
def test_a_plain_pattern_is_found_exactly_where_the_validator_finds_it(expression: str, texts: list[str]) -> None:
    """Both ways: as a key's pattern it also decides which keys are additional."""
    if read_pattern(expression) is None:
        return
    found = {"pattern": expression}
    missed = {"patternProperties": {expression: False}}
    for text in texts:
        if all(sign in string.printable[:95] for sign in text):
            assert accepts(found, text) == is_valid(found, text), (expression, text)
        if accepts({"$schema": DRAFTS[2], **missed}, {text: 1}):
            assert is_valid({"$schema": DRAFTS[2], **missed}, {text: 1}), (expression, text)
