"""The oracle alone: what it counts where, and that nothing wrong passes it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from catchment.torture.verdict import Held, judge

NOTHING_OF_THE_LEDGER = " accepted=0 unanswered=0 disagreements=0"
COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


def held(rows: str = "", errors: str = "", duplicates: str = "", drops: str = "") -> Held:
    return Held(Counter(rows), Counter(errors), Counter(duplicates), Counter(drops))


def test_every_delivery_is_found_in_one_place() -> None:
    verdict = judge({"a": 1, "b": 2, "c": 1, "d": 1}, held("ab", "c", "b", "d"))
    assert (
        verdict.line
        == "acknowledged=5 landed=2 errors=1 duplicates=1 drops=1 lost=0 doubled=0 faults=0" + NOTHING_OF_THE_LEDGER
    )
    assert verdict.is_clean


def test_an_id_that_is_nowhere_is_lost_and_named() -> None:
    verdict = judge({"a": 1, "b": 1}, held("a"))
    assert (verdict.lost, verdict.offenders, verdict.is_clean) == (1, [("lost", "b")], False)


def test_an_id_that_only_repeats_what_nobody_has_is_lost() -> None:
    assert judge({"a": 2}, held(duplicates="aa")).lost == 1
    assert judge({"a": 2}, held(duplicates="aa", drops="a")).lost == 0


def test_a_delivery_too_few_is_lost_though_its_document_has_landed() -> None:
    assert judge({"a": 3}, held("a", duplicates="a")).lost == 1


def test_a_second_row_is_doubled_whether_it_was_acknowledged_or_not() -> None:
    assert judge({"a": 2}, held("aa")).doubled == 1
    assert judge({}, held("bbb")).doubled == 2


def test_what_was_never_acknowledged_may_have_landed() -> None:
    assert judge({}, held("a", duplicates="a")).is_clean


def test_a_raw_record_that_is_reported_twice_is_doubled() -> None:
    found = held("a", errors="b")
    found.reported.update([("raw/0", 5), ("raw/0", 5), ("raw/1", 5)])
    verdict = judge({"a": 1}, found)
    assert (verdict.doubled, verdict.offenders) == (1, [("reported twice", "raw/0@5")])


@given(acks=COUNTS, rows=COUNTS, errors=COUNTS, duplicates=COUNTS, drops=COUNTS)
def test_the_counts_always_add_up(
    acks: dict[str, int],
    rows: dict[str, int],
    errors: dict[str, int],
    duplicates: dict[str, int],
    drops: dict[str, int],
) -> None:
    verdict = judge(acks, Held(Counter(rows), Counter(errors), Counter(duplicates), Counter(drops)))
    found = verdict.landed + verdict.errors + verdict.duplicates + verdict.drops + verdict.lost
    assert found == verdict.acknowledged == sum(acks.values())
    assert verdict.doubled == sum(max(count - 1, 0) for count in rows.values())
