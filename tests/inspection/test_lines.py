"""Lines of a text, and where a pointer leads in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.ingestion.inspection.lines import excerpt, numbered
from catchment.schemas.pointers import place_of, resolved, steps_of

TEXT = """{
  "a": [1, {"b": "x\\"y}"}, [2]],
  "c/d~e": {"f": null}
}"""


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("#/a", '"a": [1, {"b": "x\\"y}"}, [2]]'),
        ("#/a/1/b", '"b": "x\\"y}"'),
        ("/a/2/0", "2"),
        ("#/c~1d~0e/f", '"f": null'),
        ("#", TEXT),
    ],
)
def test_a_pointer_leads_to_its_value(pointer: str, found: str) -> None:
    place = place_of(TEXT, steps_of(pointer))
    assert place is not None
    assert TEXT[slice(*place)] == found


@pytest.mark.parametrize("pointer", ["#/b", "#/a/7", "#/a/1/b/c"])
def test_a_pointer_to_nothing_leads_nowhere(pointer: str) -> None:
    assert place_of(TEXT, steps_of(pointer)) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    if isinstance(value, list):
        items = [(str(number), inner) for number, inner in enumerate(value)]
    return [(path, value), *(found for key, inner in items for found in places(inner, (*path, key)))]


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_every_value_of_any_json_is_found(value: Any, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    for path, inner in places(value):
        place = place_of(text, path)
        assert place is not None
        found = text[slice(*place)]
        is_named = not path or isinstance(_parent(value, path), list)
        named = found if is_named else json.loads("{" + found + "}")[path[-1]]
        assert (json.loads(named) if is_named else named) == inner


def _parent(value: Any, path: tuple[str, ...]) -> Any:
    for key in path[:-1]:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@given(st.text(alphabet='{}[],:"\\a1 \n'), st.lists(st.text(alphabet="a1"), max_size=3))
def test_a_text_that_is_no_json_is_followed_as_far_as_it_goes(text: str, steps: list[str]) -> None:
    place = place_of(text, steps)
    assert place is None or 0 <= place[0] <= place[1] <= len(text)


def test_a_pointer_over_a_reference_leads_to_its_target() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/definitions/x"}},
        "definitions": {"x": {"properties": {"b": {"type": "string"}}}},
    }
    steps = resolved(schema, "#/properties/a/$ref/properties/b/type")
    assert steps == ["definitions", "x", "properties", "b", "type"]


def test_references_in_a_circle_end() -> None:
    assert resolved({"a": {"$ref": "#/a"}}, "#/a/$ref/type")[0] == "a"


def test_the_lines_of_a_place_are_marked_and_of_a_large_one_the_first() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    begin = text.index("line 10")
    assert [line.number for line in numbered(text, (begin, begin + 12)) if line.is_marked] == [11, 12]
    assert [line.number for line in numbered(text, (begin, len(text))) if line.is_marked] == [11]


def test_long_lines_are_folded_and_nothing_is_lost() -> None:
    text = "x" * 400 + "\nyy"
    lines = numbered(text, (250, 251))
    assert "".join(line.text for line in lines) == text.replace("\n", "")
    assert [line.is_marked for line in lines] == [False, True, False, False]


def test_an_excerpt_keeps_the_marked_line_and_says_what_it_leaves_out() -> None:
    text = "\n".join(str(number) for number in range(1, 1001))
    begin = text.index("\n700\n") + 1
    shown = excerpt(numbered(text, (begin, begin + 3)), 40)
    assert [line.text for line in shown if line.is_marked] == ["700"]
    assert shown[0].text == "1"
    left_out = sum(int(line.text.split()[1].replace(",", "")) for line in shown if not line.number)
    assert left_out + sum(1 for line in shown if line.number) == 1000
