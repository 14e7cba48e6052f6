"""Configuration: what is filled from where, and how every bad value is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment import config
from catchment.errors import BadConfig


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    port: int = config.option(8090, "Port that producers send to.", minimum=0, maximum=65535)
    host: str = config.option("127.0.0.1", "Address to listen on.")
    idle_s: float = config.option(60.0, "Idle connections are closed after this.", unit="s", minimum=0.1)
    is_open: bool = config.option(True, "Whether it listens at all.")
    headers: tuple[str, ...] = config.option(("date", "dnt"), "Headers that are kept.")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = config.option(
        "sqlite:catchment.db",
        "Where the database is.",
        check=lambda url: None if ":" in url else "must be a URL like sqlite:catchment.db",
    )
    password: str = config.option("", "Password of the database.", secret=True)


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    options: tuple[tuple[str, str], ...] = config.option((), "Options for another's library.")


DECLARED: dict[str, type] = {"edge": EdgeSettings, "database": DatabaseSettings}
BROKER: dict[str, type] = {"broker": BrokerSettings}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "catchment.toml"


def refusal(environment: dict[str, str] | None = None) -> str:
    with pytest.raises(BadConfig) as refused:
        config.load(DECLARED, environment=environment or {})
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_everything_has_a_default_and_says_so(file: Path) -> None:
    loaded = config.load(DECLARED, environment={})
    assert loaded.section(EdgeSettings) == EdgeSettings()
    assert loaded.source is None
    assert {setting.origin for setting in loaded.settings} == {"default"}
    assert [setting.name for setting in loaded.settings] == [
        "port",
        "host",
        "idle_s",
        "is_open",
        "headers",
        "url",
        "password",
    ]


def test_the_file_overrides_defaults_and_variables_override_the_file(file: Path) -> None:
    file.write_text('[edge]\nport = 1\nhost = "::1"\nheaders = ["date"]\n')
    loaded = config.load(DECLARED, environment={"CATCHMENT_EDGE__PORT": "2"})
    edge = loaded.section(EdgeSettings)
    assert (edge.port, edge.host, edge.headers) == (2, "::1", ("date",))
    origins = {setting.name: setting.origin for setting in loaded.settings}
    assert origins["port"] == "CATCHMENT_EDGE__PORT"
    assert origins["host"] == "catchment.toml"
    assert origins["idle_s"] == "default"
    assert loaded.source == Path("catchment.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("no", False)],
)
def test_a_variable_may_say_yes_and_no_in_words(file: Path, text: str, value: bool) -> None:
    assert config.load(DECLARED, environment={"CATCHMENT_EDGE__IS_OPEN": text}).section(EdgeSettings).is_open is value


@given(
    port=st.integers(0, 65535),
    idle=st.floats(0.1, 1e9),
    host=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
def test_a_value_in_range_comes_back_the_same_from_a_variable(port: int, idle: float, host: str) -> None:
    environment = {
        "CATCHMENT_EDGE__PORT": str(port),
        "CATCHMENT_EDGE__IDLE_S": repr(idle),
        "CATCHMENT_EDGE__HOST": host,
    }
    assert config.load(DECLARED, environment=environment).section(EdgeSettings) == EdgeSettings(port, host, idle)


def test_digits_may_be_grouped_and_lists_are_comma_separated(file: Path) -> None:
    environment = {"CATCHMENT_EDGE__PORT": "8_090", "CATCHMENT_EDGE__HEADERS": " a, b ,,c"}
    edge = config.load(DECLARED, environment=environment).section(EdgeSettings)
    assert (edge.port, edge.headers) == (8090, ("a", "b", "c"))


def test_a_whole_number_serves_where_a_number_is_asked(file: Path) -> None:
    file.write_text("[edge]\nidle_s = 5\n")
    idle = config.load(DECLARED, environment={}).section(EdgeSettings).idle_s
    assert isinstance(idle, float)
    assert idle == 5.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[edge]\nprot = 1\n", "`prot` is unknown; did you mean `port`?"),
        ("[egde]\nport = 1\n", "`egde` is unknown; did you mean `edge`?"),
        ("[nothing_near]\n", "known: database, edge"),
        ("edge = 5\n", "must be a section like [edge]"),
        ("[edge]\nport = -1\n", "must be at least 0"),
        ("[edge]\nport = 65536\n", "must be at most 65535"),
        ("[edge]\nidle_s = 0.0\n", "must be at least 0.1 s"),
        ("[edge]\nidle_s = nan\n", "must be a number"),
        ("[edge]\nidle_s = inf\n", "must be a number"),
        ('[edge]\nport = "80"\nis_open = "perhaps"\n', "must be true or false"),
        ("[edge]\nport = true\n", "must be a whole number"),
        ("[edge]\nport = 1.5\n", "must be a whole number"),
        ("[edge]\nhost = 5\n", "must be a text"),
        ("[edge]\nheaders = [1]\n", "must be a list of texts"),
        ('[database]\nurl = "nowhere"\n', "must be a URL like sqlite:catchment.db"),
        ("[edge\n", "not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_with_advice(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    message = refusal()
    assert says in message
    assert "catchment.toml" in message


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("CATCHMENT_EDGE__PORTT", "1", "did you mean `port`?"),
        ("CATCHMENT_EDGES__PORT", "1", "did you mean `edge`?"),
        ("CATCHMENT_EDGE__PORT", "", "must be a whole number"),
        ("CATCHMENT_EDGE__PORT", "_", "must be a whole number"),
        ("CATCHMENT_EDGE__PORT", "8090.0", "must be a whole number"),
        ("CATCHMENT_EDGE__IDLE_S", "nan", "must be a number"),
        ("CATCHMENT_EDGE__IS_OPEN", "2", "must be true or false"),
    ],
)
def test_a_bad_variable_is_refused_by_its_name(file: Path, variable: str, text: str, says: str) -> None:
    message = refusal({variable: text})
    assert variable in message
    assert says in message


def test_variables_without_a_section_are_not_settings(file: Path) -> None:
    loaded = config.load(DECLARED, environment={"CATCHMENT_REQUIRE": "all", "OTHER__THING": "1"})
    assert loaded.section(EdgeSettings) == EdgeSettings()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "elsewhere.toml"
    with pytest.raises(BadConfig, match=re.escape(f"{missing}: no such file")):
        config.load(DECLARED, missing, {})
    with pytest.raises(BadConfig, match="no such file"):
        config.load(DECLARED, environment={"CATCHMENT_CONFIG": str(missing)})


def test_a_secret_is_starred_and_its_variable_is_known(file: Path) -> None:
    loaded = config.load(DECLARED, environment={"CATCHMENT_DATABASE__PASSWORD": "hunter2"})
    setting = next(setting for setting in loaded.settings if setting.secret)
    assert setting.value == "hunter2"
    assert setting.shown == "*****"
    assert setting.variable == "CATCHMENT_DATABASE__PASSWORD"


def test_a_section_is_frozen(file: Path) -> None:
    edge = config.load(DECLARED, environment={}).section(EdgeSettings)
    with pytest.raises(AttributeError):
        edge.port = 1  # type: ignore[misc]


def test_a_table_takes_dotted_names_and_a_variable_for_each(file: Path) -> None:
    file.write_text('[broker.options]\nsasl.username = "me"\nsocket.timeout.ms = 10\ntls.on = true\n')
    loaded = config.load(BROKER, environment={"CATCHMENT_BROKER__OPTIONS__SASL_PASSWORD": "s3cret"})
    pairs = (("sasl.password", "s3cret"), ("sasl.username", "me"), ("socket.timeout.ms", "10"), ("tls.on", "true"))
    assert loaded.section(BrokerSettings).options == pairs
    assert loaded.settings[0].shown == "sasl.password=*****, sasl.username=me, socket.timeout.ms=10, tls.on=true"
    assert loaded.settings[0].origin == "catchment.toml, CATCHMENT_BROKER__OPTIONS__SASL_PASSWORD"


def test_a_variable_overrides_one_name_of_a_table(file: Path) -> None:
    file.write_text('[broker]\noptions = { a.b = "file", c = "kept" }\n')
    loaded = config.load(BROKER, environment={"CATCHMENT_BROKER__OPTIONS__A_B": "variable"})
    assert loaded.section(BrokerSettings).options == (("a.b", "variable"), ("c", "kept"))


@pytest.mark.parametrize("text", ['options = "a=b"', "options = { a = [1] }"])
def test_what_is_no_table_of_texts_is_refused(file: Path, text: str) -> None:
    file.write_text(f"[broker]\n{text}\n")
    with pytest.raises(BadConfig, match="options"):
        config.load(BROKER, environment={})
