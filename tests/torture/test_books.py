"""The ledger as an oracle, alone: what of it agrees with the deliveries, and that every disagreement is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from catchment.database.tables import COUNTS
from catchment.ingestion.ledger.balance import Line
from catchment.torture.books import compare
from catchment.torture.verdict import Answers, Held, Total, Verdict, judge

TABLE = "telemetry.main_v4"
MINUTE_S = 1_790_000_040


def line(state: str = "balanced", begins_s: int = MINUTE_S, **counts: int) -> Line:
    every = {name: counts.get(name, 0) for name in COUNTS}
    balance = every["accepted"] - sum(every[name] for name in COUNTS if name not in ("accepted", "archived", "decoded"))
    return Line(begins_s, 60, "telemetry", "main", every, balance, 0, state)


def held(rows: str, duplicates: str = "", drops: str = "") -> Held:
    found = Held(Counter(rows), Counter(), Counter(duplicates), Counter(drops))
    found.totals.update({("stored", TABLE): len(rows), ("duplicates", ""): len(duplicates)})
    found.totals.update({("dropped", "record_lost"): len(drops)} if drops else {})
    return found


def judged(
    acknowledged: str, unanswered: str, there: Held, found: list[Line], totals: Mapping[Total, int], raw: int
) -> Verdict:
    answers = Answers(Counter(acknowledged), Counter(unanswered))
    verdict = judge(answers.acknowledged, there)
    compare(verdict, answers, there, raw, found, totals)
    return verdict


def test_a_ledger_that_balances_and_agrees_is_clean() -> None:
    totals = {("accepted", ""): 3, ("stored", TABLE): 2, ("duplicates", ""): 1}
    verdict = judged("aab", "", held("ab", "a"), [line(accepted=3, stored=2, duplicates=1)], totals, 3)
    assert verdict.is_clean, verdict.offenders
    assert verdict.line.endswith("accepted=3 unanswered=0 disagreements=0")


def test_answers_that_were_cut_off_explain_what_was_accepted_but_not_acknowledged() -> None:
    totals = {("accepted", ""): 3, ("stored", TABLE): 2, ("duplicates", ""): 1}
    verdict = judged("a", "ab", held("ab", "a"), [line(accepted=3, stored=2, duplicates=1)], totals, 3)
    assert verdict.is_clean, verdict.offenders
    assert (verdict.accepted, verdict.acknowledged, verdict.unanswered) == (3, 1, 2)


def test_a_record_that_no_attempt_explains_is_named() -> None:
    totals = {("accepted", ""): 2, ("stored", TABLE): 1, ("duplicates", ""): 1}
    verdict = judged("a", "", held("a", "a"), [line(accepted=2, stored=1, duplicates=1)], totals, 2)
    assert verdict.disagreements == 1
    assert "document a is there 1 times more" in verdict.offenders[0][1]


def test_a_line_that_does_not_balance_is_named_with_its_minute_and_doctype() -> None:
    totals = {("accepted", ""): 2, ("stored", TABLE): 2}
    lines = [line("unbalanced", accepted=1), line("waiting", MINUTE_S + 60, accepted=1, stored=2)]
    verdict = judged("ab", "", held("ab"), lines, totals, 2)
    assert [which for _, which in verdict.offenders] == [
        "2026-09-21 14:14 telemetry.main is unbalanced: balance +1",
        "2026-09-21 14:15 telemetry.main is waiting: balance -1",
    ]


def test_lines_around_damage_need_to_balance_only_together() -> None:
    totals = {("accepted", ""): 2, ("stored", TABLE): 1, ("dropped", "record_lost"): 1}
    around = [line("gap", accepted=2, stored=1), line("gap", 0, dropped=1)]
    assert judged("ab", "", held("a", drops="b"), around, totals, 2).is_clean
    verdict = judged("ab", "", held("a", drops="b"), around[:1], totals, 2)
    assert "1 lines around damage do not balance together: +1" in verdict.offenders[0][1]


def test_a_total_of_a_table_that_differs_is_named() -> None:
    totals = {("accepted", ""): 2, ("stored", TABLE): 1, ("stored", "telemetry.event_v4"): 1}
    verdict = judged("ab", "", held("ab"), [], totals, 2)
    assert [which for _, which in verdict.offenders] == [
        "stored telemetry.event_v4: the ledger says 1, there are 0",
        "stored telemetry.main_v4: the ledger says 1, there are 2",
    ]


def test_raw_records_that_the_ledger_has_not_accepted_are_named() -> None:
    verdict = judged("ab", "", held("ab"), [], {("accepted", ""): 1, ("stored", TABLE): 2}, 2)
    assert [which for _, which in verdict.offenders] == [
        "accepted: the ledger says 1, there are 2 raw records",
        "accepted: the ledger says 1; 2 acknowledged and 0 unanswered records that were found are 2",
    ]


def test_a_record_that_was_stored_and_then_damaged_may_be_named_lost_as_well() -> None:
    totals = {("accepted", ""): 2, ("stored", TABLE): 2, ("dropped", "record_lost"): 1}
    around = [line("gap", accepted=2, stored=2), line("gap", 0, dropped=1)]
    verdict = judged("ab", "", held("ab", drops="b"), around, totals, 2)
    assert verdict.is_clean, verdict.offenders
    assert (verdict.accepted, verdict.unanswered) == (2, 0)
    assert not judged("ab", "", held("ab", drops="c"), around, totals, 2).is_clean


def test_a_row_more_than_there_are_raw_records_is_named() -> None:
    totals = {("accepted", ""): 1, ("stored", TABLE): 2}
    verdict = judged("a", "ab", held("ab"), [], totals, 1)
    assert "tables, duplicates and drops have 2 records, there are 1 raw records" in [
        text for _, text in verdict.offenders
    ]
