"""What writing and reading a message costs: encode, frame, both; scan (frames only), decode, and read (both).

    python -m benchmarks.message [--messages 2000] [--rounds 15]

A is `catchment.message` with `catchment.framing`. B is `plain_encode` and `plain_decode` below: the format written down
in the most straightforward way, with the same strictness. Messages are those of the edge: uuid, time, type, logger,
hostname, 12 small fields, and a body of random bytes. Uuid, time, path and forwarded address differ in every message,
agent, address and date in some. A second table has all fields different in every message, so that nothing that is
remembered helps. Rounds of A and B alternate, and the shortest of them is shown: others use the machine too.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import time
import uuid
from collections.abc import Callable

from catchment import framing, message
from catchment.ingestion.edge import envelope
from catchment.ingestion.edge.envelope import Envelope, StringField
from catchment.message import Field, Message

TEXTS = {0x1A: "type", 0x22: "logger", 0x32: "payload", 0x3A: "env_version", 0x4A: "hostname"}
NUMBERS = {0x10: "timestamp", 0x28: "severity", 0x40: "pid"}
NAMES = {**TEXTS, **NUMBERS}


def plain_varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def plain_delimited(tag: int, value: str | bytes) -> bytes:
    encoded = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return bytes([tag]) + plain_varint(len(encoded)) + encoded


def plain_encode(source: Message) -> bytes:
    out = plain_delimited(0x0A, source.uuid)
    for tag in sorted(NAMES):
        value = getattr(source, NAMES[tag])
        if isinstance(value, int):
            out += bytes([tag]) + plain_varint(value)
        elif value is not None:
            out += plain_delimited(tag, value)
    return out + b"".join(plain_delimited(0x52, plain_field(found)) for found in source.fields)


def plain_field(found: Field) -> bytes:
    out = plain_delimited(0x0A, found.name)
    if found.value_type:
        out += b"\x10" + plain_varint(found.value_type)
    if found.representation is not None:
        out += plain_delimited(0x1A, found.representation)
    values: list[bytes] = []
    for value in found.values:
        if isinstance(value, str | bytes):
            out += plain_delimited(0x22 if found.value_type == message.STRING else 0x2A, value)
        elif found.value_type == message.DOUBLE:
            values.append(struct.pack("<d", value))
        else:
            values.append(plain_varint(int(value)))
    tag = {message.INTEGER: 0x30, message.DOUBLE: 0x39, message.BOOL: 0x40}.get(found.value_type, 0)
    if len(values) == 1:
        return out + bytes([tag]) + values[0]
    return out + plain_delimited(tag & ~7 | 2, b"".join(values)) if values else out


class Plain:
    """Bytes and a place in them. Raises ValueError where they end too early."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        taken = self.data[self.at : self.at + length]
        if len(taken) != length:
            raise ValueError("too short")
        self.at += length
        return taken

    def number(self) -> int:
        number = 0
        for place in range(10):
            byte = self.take(1)[0]
            number |= (byte & 127) << 7 * place
            if byte < 128:
                return struct.unpack("<q", struct.pack("<Q", number & (1 << 64) - 1))[0]  # type: ignore[no-any-return]
        raise ValueError("varint over 10 bytes")

    def delimited(self) -> bytes:
        length = self.number()
        if length < 0:
            raise ValueError("length over 63 bits")
        return self.take(length)


def plain_decode(data: bytes) -> Message:
    """Raises ValueError for what is not a message."""
    values: dict[str, object] = {}
    fields: list[Field] = []
    source = Plain(data)
    while source.at < len(data):
        tag = source.take(1)[0]
        if tag == 0x0A:
            values["uuid"] = source.delimited()
            if len(data[source.at - 16 : source.at]) != 16 or data[source.at - 17] != 16:
                raise ValueError("uuid")
        elif tag in TEXTS:
            values[TEXTS[tag]] = source.delimited().decode("utf-8", "surrogateescape")
        elif tag in NUMBERS:
            values[NUMBERS[tag]] = source.number()
        elif tag == 0x52:
            fields.append(plain_field_of(source.delimited()))
        else:
            raise ValueError("tag")
    if "uuid" not in values or "timestamp" not in values:
        raise ValueError("required")
    return Message(**values, fields=fields)  # type: ignore[arg-type]


def plain_field_of(data: bytes) -> Field:
    name, kind, representation = None, 0, None
    values: list[message.Value] = []
    source = Plain(data)
    while source.at < len(data):
        tag = source.take(1)[0]
        if tag == 0x0A:
            name = source.delimited().decode("utf-8", "surrogateescape")
        elif tag == 0x10:
            kind = source.number()
        elif tag == 0x1A:
            representation = source.delimited().decode("utf-8", "surrogateescape")
        elif tag == 0x22:
            values.append(source.delimited().decode("utf-8", "surrogateescape"))
        elif tag == 0x2A:
            values.append(source.delimited())
        elif tag in (0x30, 0x40):
            values.append(source.number() if tag == 0x30 else bool(source.number()))
        elif tag == 0x39:
            values.append(struct.unpack("<d", source.take(8))[0])
        elif tag in (0x32, 0x3A, 0x42):
            inner = Plain(source.delimited())
            while inner.at < len(inner.data):
                if tag == 0x3A:
                    values.append(struct.unpack("<d", inner.take(8))[0])
                else:
                    values.append(inner.number() if tag == 0x32 else bool(inner.number()))
        else:
            raise ValueError("tag")
    if name is None:
        raise ValueError("name")
    return Field(name, tuple(values), kind, representation)


def plain_frame(payload: bytes) -> bytes:
    header = b"\x08" + plain_varint(len(payload))
    return b"\x1e" + bytes([len(header)]) + header + b"\x1f" + payload


def plain_scan(stream: bytes) -> list[bytes]:
    found = []
    source = Plain(stream)
    while source.at < len(stream):
        if source.take(1) != b"\x1e":
            raise ValueError("record separator")
        header = Plain(source.take(source.take(1)[0]))
        if header.take(1) != b"\x08" or source.take(1) != b"\x1f":
            raise ValueError("header")
        found.append(source.take(header.number()))
    return found


def plain_read(stream: bytes) -> None:
    for payload in plain_scan(stream):
        plain_decode(payload)


def scan(stream: bytes) -> None:
    """`catchment.framing` without decoding: what `read` costs beyond `decode`."""
    at = 0
    while at < len(stream):
        start, end = framing._message_at(stream, at, framing.MAX_MESSAGE_BYTES)
        stream[start:end]
        at = end


def read(stream: bytes) -> None:
    reader = framing.StreamReader()
    for at in range(0, len(stream), 65_536):
        for _ in reader.feed(stream[at : at + 65_536]):
            pass
    reader.close()


def read_archive(stream: bytes) -> None:
    for _ in framing.read_archive(io.BytesIO(stream)):
        pass


def edge_message(made: Envelope, number: int, size: int, *, is_all_new: bool) -> bytes:
    """A message as the edge seals it; with `is_all_new` each header's value is of this message only."""
    new = f"/{number}" if is_all_new else ""
    headers = {
        "Content-Length": f"{size}{new}",
        "Date": f"Mon, 23 Nov 2026 04:{number // 6000 % 60:02}:{number // 100 % 60:02} GMT{new}",
        "DNT": f"1{new}",
        "Host": f"incoming.telemetry.example.org{new}",
        "User-Agent": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{50 + number % 9}.0) Firefox/61.0{new}",
        "X-Forwarded-For": f"198.51.{number >> 8 & 255}.{number & 255}{new}",
        "X-PingSender-Version": f"1.0{new}",
        "X-Pipeline-Proxy": f"tee-1.example.org{new}",
    }
    fields = b"".join(StringField(name.encode()).of(value.encode()) for name, value in headers.items())
    return made.seal(
        made.uuid(),
        made.stamp(time.time_ns()),
        made.remote(f"10.0.0.{number % 16}{new}"),
        f"/submit/telemetry/{uuid.uuid4()}/main/Firefox/61.0a1/nightly/20180328030202".encode(),
        f"v=4{new}".encode(),
        envelope.PROTOCOL[1] + fields + envelope.content_head(size),
        os.urandom(size),
    )


def forget() -> None:
    """As if these messages had never been met: else what differs in each would be remembered from the round before."""
    message._encoded.clear()
    message._remembered.clear()
    message._head_of.cache_clear()


def measured(size: int, count: int, rounds: int, *, is_all_new: bool) -> dict[str, tuple[float, float]]:
    """µs a message of each act, A and B."""
    made = Envelope("raw", "edge-1", 512)
    payloads = [edge_message(made, number, size, is_all_new=is_all_new) for number in range(count)]
    messages = [message.decode(payload) for payload in payloads]
    stream = b"".join(framing.frame(payload) for payload in payloads)
    assert [message.encode(found) for found in messages] == [plain_encode(found) for found in messages]
    assert messages == [plain_decode(payload) for payload in plain_scan(stream)]

    def each(act: Callable[[bytes], object], payloads: list[bytes]) -> Callable[[], object]:
        return lambda: [act(payload) and None for payload in payloads]

    def each_message(act: Callable[[Message], object]) -> Callable[[], object]:
        return lambda: [act(found) and None for found in messages]

    acts = {
        "encode": (each_message(message.encode), each_message(plain_encode)),
        "frame": (each(framing.frame, payloads), each(plain_frame, payloads)),
        "encode+frame": (
            each_message(lambda found: framing.frame(message.encode(found))),
            each_message(lambda found: plain_frame(plain_encode(found))),
        ),
        "scan": (lambda: scan(stream), lambda: plain_scan(stream)),
        "decode": (each(message.decode, payloads), each(plain_decode, payloads)),
        "read": (lambda: read(stream), lambda: plain_read(stream)),
        "read_archive": (lambda: read_archive(stream), lambda: plain_read(stream)),
    }
    costs = {name: [float("inf"), float("inf")] for name in acts}
    for _ in range(rounds):
        for name, pair in acts.items():
            for side, act in enumerate(pair):
                forget()
                began = time.perf_counter()
                act()
                costs[name][side] = min(costs[name][side], (time.perf_counter() - began) / count * 1e6)
    return {name: (ours, plain) for name, (ours, plain) in costs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    last: dict[str, float] = {}
    for is_all_new in (False, True):
        print("all fields different in each message" if is_all_new else "fields as an edge meets them")  # noqa: T201
        for name, size in (("1k", 1024), ("46k", 46 * 1024)):
            count = options.messages if size < 10_000 else options.messages // 4
            found = measured(size, count, options.rounds, is_all_new=is_all_new)
            for act, (ours, plain) in found.items():
                print(f"{name:>4} {act:14} {ours:8.2f} µs   B {plain:8.2f} µs   {plain / ours:6.1f}x")  # noqa: T201
            suffix = f"_us_{name}{'_new' if is_all_new else ''}"
            last[f"encode_frame{suffix}"] = found["encode+frame"][0]
            last[f"read{suffix}"] = found["read"][0]
    print(" ".join(f"{name}={value:.2f}" for name, value in last.items()))  # noqa: T201


if __name__ == "__main__":
    main()
