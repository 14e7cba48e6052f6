"""Keys that come twice are noticed by both ways of looking, in any text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.ingestion.decoder import repeats
from catchment.ingestion.decoder.repeats import HAS_COMPILED, MAX_DEPTH, TooDeep, may_repeat, may_repeat_by_writing

WAYS = (may_repeat, may_repeat_by_writing) if HAS_COMPILED else (may_repeat_by_writing,)
STRINGS = st.text(st.sampled_from('ab:"\\é\n {}[]'), max_size=140)
DOCUMENTS = st.dictionaries(
    STRINGS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | STRINGS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)
INDENTS = st.sampled_from([None, 0, 1, 7])
Way = Callable[[bytes, Any], bool]


def test_the_compiled_way_is_there() -> None:
    if not HAS_COMPILED:
        pytest.skip("no C compiler was there when Catchment was installed; repeated keys are found by Python alone")
    assert may_repeat.__globals__["colons"](b'{"a:":1}') == 1


@pytest.mark.skipif(not HAS_COMPILED, reason="see test_the_compiled_way_is_there")
@given(DOCUMENTS, INDENTS, st.booleans())
@settings(max_examples=300)
def test_the_compiled_count_is_exact_for_text_written_in_any_way(content: Any, indent: int, is_ascii: bool) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=is_ascii).encode()
    assert not may_repeat(text, orjson.loads(text))
    assert repeats.colons(text) == repeats.members(content, MAX_DEPTH)


@pytest.mark.parametrize("way", WAYS)
@given(DOCUMENTS, STRINGS, st.integers(0, 3))
def test_a_key_that_comes_twice_is_noticed(way: Way, content: Any, key: str, levels: int) -> None:
    name = json.dumps(key)
    text = f'{{"before": {json.dumps(content)}, {name}: 1, "between": "\\\\", {name}: 2}}'
    for _ in range(levels):
        text = f'{{"{{": [{text}]}}'
    assert way(text.encode(), orjson.loads(text))


@pytest.mark.parametrize("way", WAYS)
def test_quotes_and_backslashes_are_understood_at_every_place_of_a_block(way: Way) -> None:
    for before in range(130):
        for backslashes in range(6):
            value = "x" * before + "\\" * backslashes + '":' * (before % 3)
            text = orjson.dumps({"a": value, "b": {value: [value]}})
            assert not way(text, orjson.loads(text))
            assert way(text[:-1] + b',"a":2}', orjson.loads(text))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_both_ways_end_at_the_same_depth(way: Way, opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "1" + closing * levels).encode()

    assert not way(nested(MAX_DEPTH), orjson.loads(nested(MAX_DEPTH)))
    with pytest.raises(TooDeep):
        way(nested(MAX_DEPTH + 1), orjson.loads(nested(MAX_DEPTH + 1)))
