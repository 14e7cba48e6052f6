"""Files are left out only when no row of theirs can count; and in the plain cases they are left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.expressions import AlwaysTrue

from catchment.query import prune
from catchment.query.port import Limits, QueryEngine

MAIN = "telemetry.main_v4"
DAY = "submission_timestamp >= '2026-11-21' AND submission_timestamp < '2026-11-22'"
"""The table has 6 files: 3 days (20, 21, 22 November 2026) × 2 ranges of samples (0–23 release, 50–73 nightly)."""


def files(engine: QueryEngine, sql: str) -> int:
    result = engine.run(sql, Limits())
    result.close()
    return result.files


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", 6),
        (DAY, 2),
        ("date(submission_timestamp) = '2026-11-21'", 2),
        ("submission_timestamp::date = DATE '2026-11-21'", 2),
        ("DATE '2026-11-21' <= CAST(submission_timestamp AS DATE)", 4),
        ("date(submission_timestamp) BETWEEN '2026-11-20' AND '2026-11-21'", 4),
        ("date(submission_timestamp) IN ('2026-11-20', '2026-11-20')", 2),
        ("date(submission_timestamp) > '2026-11-21'", 2),
        ("date_trunc('day', submission_timestamp) = TIMESTAMP '2026-11-22'", 2),
        ("date_trunc('month', submission_timestamp) = '2026-10-01'", 0),
        ("submission_timestamp > TIMESTAMPTZ '2026-11-22 00:00:00+00' - INTERVAL 1 DAY", 4),
        ("submission_timestamp > now() + INTERVAL '1000 days'", 0),
        ("submission_timestamp < current_date - 100000", 0),
        ("sample_id = 7", 3),
        ("7 = sample_id", 3),
        ("sample_id < 10 AND " + DAY, 1),
        ("sample_id IN (7, 60)", 6),
        ("sample_id BETWEEN 24 AND 49", 0),
        ("normalized_channel = 'nightly'", 3),
        ("document_id = '1-50-03'", 1),
        ("client_id = 'nobody'", 0),
        ("main_v4.sample_id = 7", 3),
        ("telemetry.main_v4.sample_id = 7", 3),
        ("hour = 77", 6),
        ("NOT sample_id = 7", 6),
        ("sample_id = 7 OR sample_id = 8", 6),
        ("sample_id <> 7", 6),
        ("sample_id = 7.5", 6),
        ("sample_id = '7'", 6),
        ("sample_id = hour", 6),
        ("sample_id = (SELECT 7)", 6),
        ("sample_id < 1000 * random()", 6),
        ("sample_id = NULL", 6),
        ("client_id > document_id", 6),
        ("try_cast(submission_timestamp AS DATE) = '2026-11-21'", 6),
    ],
)
def test_a_condition_leaves_out_files(engine: QueryEngine, pings: str, condition: str, expected: int) -> None:
    assert files(engine, f"SELECT count(*) FROM {MAIN} WHERE {condition}") == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"SELECT * FROM {MAIN} t WHERE t.sample_id = 7", 3),
        (f"WITH t AS (SELECT * FROM {MAIN} WHERE sample_id = 7) SELECT * FROM t", 3),
        (f"SELECT * FROM (SELECT * FROM {MAIN}) WHERE sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a JOIN {MAIN} b USING (document_id) WHERE a.sample_id = 7 AND b.sample_id = 7", 3),
        (f"SELECT * FROM {MAIN} a JOIN {MAIN} b USING (document_id) WHERE a.sample_id = 7 AND b.sample_id = 60", 6),
        (f"SELECT * FROM {MAIN} a JOIN {MAIN} b USING (document_id) WHERE a.sample_id = 7", 6),
        (f"SELECT * FROM range(3) r LEFT JOIN {MAIN} a ON a.hour = r.range WHERE a.sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a LEFT JOIN range(3) r ON a.hour = r.range WHERE a.sample_id = 7", 3),
        (f"SELECT * FROM {MAIN} a LEFT JOIN range(3) r ON a.hour = r.range AND a.sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a RIGHT JOIN range(3) r ON a.hour = r.range WHERE a.sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a FULL JOIN range(3) r ON a.hour = r.range WHERE a.sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a JOIN range(3) r ON a.hour = r.range AND a.sample_id = 7", 3),
        (f"SELECT * FROM range(3) r SEMI JOIN {MAIN} a ON a.hour = r.range AND a.sample_id = 7", 6),
        (f"SELECT * FROM range(9) r POSITIONAL JOIN {MAIN} a WHERE a.sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a, range(3) r WHERE sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} a TABLESAMPLE 50% WHERE sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} WHERE sample_id = 7 USING SAMPLE 5", 6),
        (f"SELECT * FROM {MAIN} t(submission_timestamp, sample_id) WHERE sample_id = 'x'", 6),
        (f"SELECT hour AS sample_id FROM {MAIN} WHERE sample_id = 7", 6),
        (f"SELECT * FROM {MAIN} WHERE sample_id = 7 UNION ALL SELECT * FROM {MAIN} WHERE sample_id = 60", 6),
        (f"SELECT * FROM {MAIN} WHERE {DAY} AND hour IN (SELECT hour FROM {MAIN} WHERE sample_id = 60)", 4),
        (f"EXPLAIN SELECT * FROM {MAIN} WHERE sample_id = 7", 3),
    ],
)
def test_a_mention_of_a_table_keeps_what_it_needs(engine: QueryEngine, pings: str, sql: str, expected: int) -> None:
    assert files(engine, sql) == expected


signs = st.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
days = st.integers(18, 24).map(lambda day: f"2026-11-{day}")
moments = st.builds("{} {:02d}:30:00".format, days, st.integers(0, 23)) | days
simple = st.one_of(
    st.builds("sample_id {} {}".format, signs, st.integers(-5, 80)),
    st.builds("{} {} sample_id".format, st.integers(-5, 80), signs),
    st.builds("sample_id BETWEEN {} AND {}".format, st.integers(-5, 80), st.integers(-5, 80)),
    st.builds("sample_id IN ({}, {})".format, st.integers(-5, 80), st.integers(-5, 80)),
    st.builds("submission_timestamp {} '{}'".format, signs, moments),
    st.builds(
        "submission_timestamp {} TIMESTAMP '{}' + INTERVAL '{} hours'".format, signs, moments, st.integers(-30, 30)
    ),
    st.builds("date(submission_timestamp) {} '{}'".format, signs, days),
    st.builds("submission_timestamp::DATE IN ('{}', '{}')".format, days, days),
    st.builds(
        "date_trunc('{}', submission_timestamp) {} '{}'".format,
        st.sampled_from(["hour", "day", "week", "month"]),
        signs,
        moments,
    ),
    st.builds("client_id {} 'client-{}'".format, signs, st.integers(0, 5)),
    st.builds("document_id {} '{}-50-{:02d}'".format, signs, st.integers(0, 3), st.integers(0, 25)),
    st.builds("normalized_channel {} '{}'".format, signs, st.sampled_from(["nightly", "release", "beta", ""])),
    st.builds("hour {} {}".format, signs, st.integers(0, 24)),
)
conditions = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=5,
)
shapes = st.sampled_from(
    [
        "SELECT document_id FROM {main} WHERE {one} AND {two}",
        "SELECT document_id FROM {main} WHERE {one} UNION ALL SELECT document_id FROM {main} WHERE {two}",
        "SELECT r.range, m.document_id FROM range(30) r LEFT JOIN (FROM {main} WHERE {one}) m ON m.hour = r.range",
        "SELECT document_id, sum(1) OVER () FROM {main} WHERE {one} AND hour IN (SELECT hour FROM {main} WHERE {two})",
        "WITH a AS (FROM {main} WHERE {one}) SELECT a.document_id, b.hour FROM a JOIN {main} b USING (document_id)",
    ]
)


@settings(max_examples=80)
@given(shape=shapes, one=conditions, two=conditions)
def test_the_answer_is_the_same_as_over_all_files(
    engine: QueryEngine, pings: str, shape: str, one: str, two: str
) -> None:
    sql = shape.format(main=MAIN, one=one, two=two)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(prune.Conditions, "filter", lambda *_: AlwaysTrue())
        whole = engine.run(sql, Limits())
        assert whole.files == 6
        expected = Counter(map(str, whole.read_all().to_pylist()))
    assert Counter(map(str, engine.run(sql, Limits()).read_all().to_pylist())) == expected
