"""Files of every layout that archives have had give the same messages; damage costs only what it touches."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from catchment.archives import read_file, unsnap
from catchment.errors import Corrupt
from catchment.framing import Damage, Framed, frame
from tests.landfill import yard

MESSAGES = [yard.raw_record(number, yard.START_NS + number) for number in range(50)]
PLAIN = b"".join(map(frame, MESSAGES))


def snapped(message: bytes) -> bytes:
    packed: bytes = pa.Codec("snappy").compress(message, asbytes=True)
    return packed


def halves(pack: Callable[[bytes], bytes]) -> bytes:
    """Two files of a layout, one after the other, as appending writers leave them."""
    cut = len(b"".join(map(frame, MESSAGES[:20])))
    return pack(PLAIN[:cut]) + pack(PLAIN[cut:])


LAYOUTS = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip members": halves(gzip.compress),
    "zstd": zstandard.compress(PLAIN),
    "zstd frames": halves(zstandard.compress),
    "snappy": b"".join(frame(snapped(message)) for message in MESSAGES),
    "snappy in gzip": gzip.compress(b"".join(frame(snapped(message)) for message in MESSAGES)),
    "mixed": b"".join(frame(snapped(m) if n % 2 else m) for n, m in enumerate(MESSAGES)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_messages(layout: str) -> None:
    found = list(read_file(layout, io.BytesIO(LAYOUTS[layout])))
    assert [item.payload for item in found if isinstance(item, Framed)] == MESSAGES
    assert len(found) == len(MESSAGES)


@pytest.mark.parametrize("layout", ["plain", "snappy"])
def test_damage_between_frames_is_passed_over_and_told(layout: str) -> None:
    content = LAYOUTS[layout]
    middle = content.find(b"\x1e\x03\x08", len(content) // 2)
    found = list(read_file(layout, io.BytesIO(content[:middle] + b"\x1egarbage\x1e" + content[middle:])))
    assert [item.payload for item in found if isinstance(item, Framed)] == MESSAGES
    (damage,) = [item for item in found if isinstance(item, Damage)]
    assert (damage.offset, damage.length) == (middle, 9)


@pytest.mark.parametrize("layout", ["gzip", "zstd"])
def test_a_packed_file_that_is_cut_short_gives_what_comes_before_and_an_error(layout: str) -> None:
    pack = gzip.compress if layout == "gzip" else zstandard.compress
    content = pack(b"".join(frame(MESSAGES[0]) for _ in range(20_000)))
    items = read_file(layout, io.BytesIO(content[:-5]))
    assert isinstance(next(items), Framed)
    with pytest.raises(Corrupt, match="its end"):
        list(items)


@pytest.mark.parametrize("message", [b"", b"\x0a\x10", b"\xff\xff\xff\xff\xff\xff", b"\x80", MESSAGES[0]])
def test_what_snappy_has_not_packed_is_not_unpacked(message: bytes) -> None:
    assert unsnap(message) is None


def test_our_own_objects_are_read_too(tmp_path: Path) -> None:
    yard.fill(tmp_path, 40)
    yard.run_archiver(tmp_path, None)
    _, landfill = yard.open_yard(tmp_path)
    index = landfill.indexes(yard.START_NS, yard.START_NS + yard.HOUR_NS)[0]
    found = list(read_file(index.key, io.BytesIO(landfill.content(index.key))))
    assert len(found) == index.records
