"""Real pings and real schemas, where they are at hand; and the decoder's page against its code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson
import pytest
from decoder_kit import SOURCE, TID, open_geo, raw, zipped

from catchment.document import Document
from catchment.ingestion.decoder import body
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import CODES, Failure
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.schemas.registry import Registry

DOCS = Path(__file__).parent.parent.parent / "docs"
EXAMPLE = re.compile(r"(?P<doctype>.+)\.(?P<version>\d+)\.(?P<case>[^.]+)\.(?P<label>pass|fail)\.json")


@pytest.fixture(scope="module")
def decoder(shared_data: Path) -> Decoder:
    registry = Registry.load([shared_data / "pipeline-schemas" / "schemas"])
    return Decoder(registry, open_geo(), DecoderSettings())


def test_c51_every_labelled_example_is_answered_as_its_label_says(shared_data: Path, decoder: Decoder) -> None:
    wrong, seen = [], 0
    for path in sorted((shared_data / "pipeline-schemas" / "validation").glob("*/*.json")):
        named = EXAMPLE.fullmatch(path.name)
        if named is None:
            continue
        uri = f"/submit/{path.parent.name}/{named['doctype']}/{named['version']}/{TID}"
        outcome = decoder.decode(raw(zipped(path.read_bytes()), uri), SOURCE, 0)
        seen += 1
        expected = Document if named["label"] == "pass" else Failure
        if not isinstance(outcome, expected):
            wrong.append(f"{path.name}: {outcome.code if isinstance(outcome, Failure) else 'accepted'}")
        elif isinstance(outcome, Failure) and outcome.code != "schema_violation":
            wrong.append(f"{path.name}: {outcome.code}")
    assert seen >= 150
    assert wrong == []


def test_what_firefox_sends_is_decoded(shared_data: Path, decoder: Decoder) -> None:
    pings = sorted((shared_data / "firefox-pings").glob("*.request.json"))
    assert pings
    for request in pings:
        sent = json.loads(request.read_text(encoding="utf-8"))
        text = request.with_name(request.name.replace(".request.json", ".json")).read_bytes()
        path, _, args = sent["path"].partition("?")
        outcome = decoder.decode(raw(zipped(text), path, args=args, headers=sent["headers"]), SOURCE, 0)
        if isinstance(outcome, Failure):
            assert outcome.code in ("schema_not_found", "schema_violation"), (request.name, outcome.detail)
            assert outcome.namespace and outcome.document_id
        else:
            assert outcome.body == text
            assert (outcome.user_agent_browser, outcome.user_agent_os) == ("Firefox", "Linux")


def test_what_firefox_writes_needs_no_second_look_for_repeated_keys(shared_data: Path) -> None:
    for path in sorted((shared_data / "firefox-pings").glob("*.json")):
        if path.name.endswith(".request.json"):
            continue
        text = path.read_bytes()
        again = orjson.dumps(orjson.loads(text))
        assert again == text or again.count(b'"') == text.count(b'"'), path.name
        assert isinstance(body.parse(text), dict)


def test_the_page_lists_every_code_at_its_step() -> None:
    rows = re.findall(r"^\| (\w+) \| .* \| (.*) \|$", (DOCS / "decoder.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = {(step, code) for step, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)}
    assert {(step, code) for code, (step, _) in CODES.items() if code != "internal"} <= listed
