"""Engines that `make engines` brings, run for the tests alone: own folders, free ports, one of each for the session.

A test asks for `kafka_server` or `minio_server`; where the engine is not on this machine it is skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

WITHIN_S = 180.0
MARK = "catchment-engine-"
"""In the name of every engine's folder, so that conftest knows their processes."""


def engine_folder(name: str) -> Path:
    """Where the engine's files are. Skips the test where they are not."""
    place = Path(os.environ.get("CATCHMENT_ENGINES", Path.home() / ".cache/catchment/engines")) / name
    if not (place / ".made").exists():
        pytest.skip(f"{name} is not in {place.parent}; run `make engines`, whose output says why when it cannot be had")
    return place


def java(version: int) -> Path:
    """A Java of this version or newer. Skips the test where there is none."""
    places = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    places += sorted(Path("/usr/lib/jvm").glob("*"))
    for place in places:
        release = place / "release"
        named = release.read_text() if release.exists() else ""
        found = next((line for line in named.splitlines() if line.startswith("JAVA_VERSION=")), "")
        if found and int(found.split('"')[1].split(".")[0]) >= version:
            return place / "bin" / "java"
    pytest.skip(f"no Java {version} or newer in /usr/lib/jvm; install one, or set JAVA_HOME")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def engine_running(
    command: Sequence[str | Path], folder: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once its port answers; killed afterwards. Its output is in `folder/log`."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **(environment or {})}
        )
    try:
        await_port(process, port, folder / "log")
        yield process
    finally:
        process.kill()
        process.wait()


def await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while True:
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None and time.monotonic() < ends_at, log.read_text(errors="replace")[-4000:]
        time.sleep(0.05)


@contextmanager
def engine_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=MARK))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class Kafka:
    """A broker (KRaft, its own controller). Stop and start it with `running`."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = _kafka(self.folder, "kafka.Kafka", self.folder / "server.properties")
        with engine_running(command, self.folder, self.port) as process:
            yield process


def _kafka(folder: Path, main: str, *arguments: str | Path) -> list[str | Path]:
    libraries = engine_folder("kafka") / "lib"
    options = ["-Xmx384m", "-XX:+UseSerialGC", f"-Dcatchment={folder}"]
    return [java(17), *options, "-cp", f"{libraries}/*", main, *arguments]


def new_kafka(folder: Path, settings: Mapping[str, str] | None = None) -> Kafka:
    """A broker that has never run, its data below `folder`; `settings` are lines of its server.properties."""
    port, controller = free_port(), free_port()
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        **(settings or {}),
    }
    properties = folder / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    made = subprocess.run(
        _kafka(folder, "kafka.tools.StorageTool", "format", "-t", "Y2F0Y2htZW50LXRlc3RzIQ", "-c", properties),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return Kafka(folder, port)


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """`host:port` of a Kafka broker; one for the session, so tests name topics of their own."""
    engine_folder("kafka")
    with engine_home() as folder:
        kafka = new_kafka(folder)
        with kafka.running():
            yield kafka.address


@dataclass(frozen=True, slots=True)
class Minio:
    """An S3 server. Any bucket may be made in it; region us-east-1."""

    folder: Path
    port: int
    access_key: str = "catchment"
    secret_key: str = "catchment-secret"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [engine_folder("minio") / "minio", "server", "--quiet", "--address", f"127.0.0.1:{self.port}"]
        secrets = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_BROWSER": "off"}
        with engine_running([*command, self.folder / "data"], self.folder, self.port, secrets) as process:
            yield process


@pytest.fixture(scope="session")
def minio_server() -> Iterator[Minio]:
    """A MinIO; one for the session, so tests make buckets of their own."""
    engine_folder("minio")
    with engine_home() as folder:
        minio = Minio(folder, free_port())
        with minio.running():
            yield minio
