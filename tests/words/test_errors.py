"""The error tree: two branches, stable codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from catchment.errors import CatchmentError, MissingExtra, Terminal, Transient


def tree(root: type[CatchmentError]) -> Iterator[type[CatchmentError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


OWN = [kind for kind in tree(CatchmentError) if kind.__module__ == "catchment.errors"]


def test_every_leaf_says_whether_to_try_again() -> None:
    undecided = [kind for kind in OWN if not issubclass(kind, Transient | Terminal)]
    assert undecided == [CatchmentError]
    assert not [kind for kind in OWN if issubclass(kind, Transient) and issubclass(kind, Terminal)]


def test_codes_are_stable_words_and_belong_to_one_error() -> None:
    codes = [kind.code for kind in OWN]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_a_missing_library_is_answered_with_the_command_that_installs_it() -> None:
    assert "pip install 'catchment[kafka]'" in str(MissingExtra("reading kafka://broker", "kafka"))
