"""`catchment schema preview` on a real landfill: what would be refused, which columns come, what nobody described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from archived import CLIENT, archive, document_id, orders
from calling import Caller
from hypothesis import given
from hypothesis import strategies as st

from catchment.ingestion.preview.report import share_of
from catchment.ingestion.preview.unnamed import MOST_FIELDS, MOST_KEYS, Sightings
from catchment.schemas.shape import shape_of

COUNT = 100
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "clientId": {"type": "string"},
        "count": {"type": ["integer", "string"]},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
}


def changed(**properties: Any) -> dict[str, Any]:
    return {**ORDER, "properties": {**ORDER["properties"], **properties}}


@pytest.fixture
def shop(call: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """A platform with 100 orders of version 1 in its landfill, one torn, and a refund."""
    home = call.folder / "home"
    home.mkdir()
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(home))
    call.write("catchment.toml", '[schemas]\npaths = ["schemas"]\n')
    call.schema(ORDER)
    torn = (f"shop/order/1/{document_id(9000)}", b'{"clientId": ')
    archive(home, [*orders(COUNT), torn, (f"shop/refund/1/{document_id(9001)}", b"{}")])
    return call


def test_a_stricter_schema_tells_whom_it_would_refuse_and_hides_clients(shop: Caller) -> None:
    path = shop.schema(changed(count={"type": "integer"}), root="proposed")
    ran = shop("schema", "preview", path)
    assert ran.code == 1
    assert f"Looked at {COUNT} pings of shop.order.1." in ran.out
    assert "Would refuse 10.0 % (10 pings) that are let in today" in ran.out
    assert "10.0 % (10 pings) break #/properties/count/type" in ran.out
    assert "    at #/count: 10" in ran.out
    assert f'{document_id(10)} #/count: "10 pieces" is not of type' in ran.out
    assert "Refused whatever the schema says, json_invalid: 1" in ran.out
    assert CLIENT not in ran.out
    assert shop("schema", "preview", path, "--max-refused", "10").code == 0
    assert shop("schema", "preview", path, "--max-refused", "9.9").code == 1


def test_a_rule_on_the_client_id_shows_no_client_id(shop: Caller) -> None:
    pattern = {"type": "string", "pattern": "^[0-9]+$"}
    path = shop.schema(changed(clientId=pattern), root="proposed")
    told = shop("schema", "preview", path, "--format", "json")
    assert told.json["broken"][0]["examples"][0]["pointer"] == "#/clientId"
    assert (CLIENT not in told.out, CLIENT[:4] in told.out) == (True, True)


def test_what_is_sent_and_not_named_is_proposed(shop: Caller) -> None:
    told = shop("schema", "preview", shop.schema(ORDER, root="proposed"), "--format", "json")
    assert (told.code, told.json["columns_added"], told.json["columns_removed"]) == (0, {}, {})
    unnamed = {field["path"]: (field["pings"], field["types"], field["format"]) for field in told.json["unnamed"]}
    assert unnamed == {
        "coupon": (20, ["object"], ""),
        "coupon.code": (20, ["string"], ""),
        "coupon.until": (20, ["string"], "date-time"),
        "coupon.worth": (20, ["integer", "number"], ""),
        "labels": (COUNT, ["object"], ""),
        "labels{}": (COUNT - 2, ["integer"], ""),
        "lines[].gift": (COUNT, ["boolean"], ""),
    }
    assert told.json["proposal"]["properties"] == {
        "coupon": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "until": {"type": "string", "format": "date-time"},
                "worth": {"type": "number"},
            },
        },
        "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
        "lines": {"items": {"properties": {"gift": {"type": "boolean"}}}},
    }


def test_a_new_version_is_judged_by_the_pings_of_the_one_before_it(shop: Caller) -> None:
    coupon = {"type": "object", "properties": {"code": {"type": "string"}, "worth": {"type": "number"}}}
    path = shop.schema(changed(coupon=coupon, count={"type": "string"}), version=2, root="proposed")
    ran = shop("schema", "preview", path)
    assert "Looked at 100 pings of shop.order.1." in ran.out
    assert "Would refuse 90.0 % (90 pings)" in ran.out
    told = ran.out[ran.out.index("Would make") :].splitlines()
    assert told == [
        "Would make table shop.order_v2, beside shop.order_v1.",
        "3 columns more:",
        "    coupon struct",
        "    coupon.code string",
        "    coupon.worth double",
        *told[5:],
    ]
    first = shop("schema", "preview", shop.schema({**ORDER}, doctype="refund", root="proposed"))
    assert "Table shop.refund_v1 would be made, with 3 columns of its own." in first.out


def test_a_looser_schema_lets_in_what_is_refused_today(shop: Caller) -> None:
    shop.schema(changed(count={"type": "integer"}))
    told = shop("schema", "preview", shop.schema(ORDER, root="proposed"), "--format", "json")
    assert (told.code, told.json["newly_accepted"], told.json["refused"]) == (0, 10, 0)


def test_a_sample_states_its_error_and_is_the_same_twice(shop: Caller) -> None:
    path = shop.schema(changed(count={"type": "integer"}), root="proposed")
    first = shop("schema", "preview", path, "--limit", "40", "--format", "json").json
    assert first["is_sample"] is True
    assert 20 <= first["judged"] <= 60
    share = first["newly_refused_share"]
    assert share["low"] < share["share"] < share["high"]
    assert shop("schema", "preview", path, "--limit", "40", "--format", "json").json == first
    assert "a random sample of 101 submissions" in shop("schema", "preview", path, "--limit", "40").out


def test_a_time_without_pings_tells_the_next_step(shop: Caller) -> None:
    ran = shop(
        "schema", "preview", shop.schema(ORDER, root="proposed"), "--since", "2001-01-01", "--until", "2001-01-02"
    )
    assert (ran.code, "catchment landfill ls" in ran.out) == (0, True)
    other = shop("schema", "preview", shop.schema(ORDER, root="proposed"), "--version", "7")
    assert "(100 of another version)" in other.out


def test_a_schema_that_does_not_compile_is_one_line(shop: Caller) -> None:
    ran = shop("schema", "preview", shop.schema({"type": "objekt"}, root="proposed"))
    assert (ran.code, ran.out, "does not compile" in ran.err) == (1, "", True)


def test_a_file_that_names_no_schema_is_a_wrong_argument(call: Caller) -> None:
    assert call("schema", "preview", call.write("shop/x/order.json", {})).code == 2
    assert call("schema", "preview", call.write("a_b/x/order.1.schema.json", {})).code == 2


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_interval_of_a_sample_holds_its_share(part: int, judged: int) -> None:
    part = min(part, judged)
    share = share_of(part, judged, is_sample=True)
    assert 0 <= share.low <= share.share <= share.high <= 1
    assert share.low < share.high
    whole = share_of(part, judged, is_sample=False)
    assert whole.low == whole.high == part / judged


def test_unnamed_fields_are_bounded() -> None:
    sightings = Sightings(shape_of({"type": "object", "properties": {"a": {"type": "string"}}}))
    for number in range(MOST_KEYS - 10):
        sightings.add({f"k{number}": {f"i{at}": {f"j{deep}": 1 for deep in range(40)} for at in range(40)}})
    assert len(sightings.unnamed()) <= MOST_FIELDS
    assert sightings.left_out > 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(max_size=2), json_values, max_size=4), min_size=1, max_size=5))
def test_a_proposal_accepts_all_that_it_is_made_of(documents: list[dict[str, Any]]) -> None:
    import jsonschema_rs

    sightings = Sightings(shape_of({"type": "object"}))
    for document in documents:
        sightings.add(document)
    validator = jsonschema_rs.Draft7Validator(sightings.proposal())
    assert all(validator.is_valid(document) for document in documents)


def test_log_and_landfill_are_left_as_they_are(shop: Caller) -> None:
    def files() -> dict[Path, bytes]:
        home = shop.folder / "home"
        paths = [path for part in ("log", "objects") for path in (home / part).rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in paths}

    before = files()
    assert before
    shop("schema", "preview", shop.schema(ORDER, root="proposed"))
    assert files() == before
