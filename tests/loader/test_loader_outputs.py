"""Output topics on a disk that refuses: no message stands behind a hole."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from catchment import message
from catchment.errors import Full
from catchment.ingestion.loader.outputs import TopicOutput
from catchment.log.embedded.disk import Disk
from tests.log.opening import RAW, open_embedded, payloads_of

PATIENCE_S = 20.0


class RefusesOnce(Disk):
    """Refuses the first write, once it may."""

    def __init__(self) -> None:
        self.may_refuse = threading.Event()
        self._has_refused = False

    def write_durably(self, descriptor: int, pieces: Sequence[bytes | memoryview], position: int) -> int:
        if not self._has_refused:
            assert self.may_refuse.wait(PATIENCE_S)
            self._has_refused = True
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write_durably(descriptor, pieces, position)


def stamped(offset: int) -> tuple[int, bytes]:
    field = message.Field("sourceOffset", (offset,), message.INTEGER)
    return offset, message.encode(message.Message(bytes(16), 0, "t", "l", fields=[field]))


def test_nothing_is_written_behind_what_was_refused_so_the_next_owner_writes_all_of_it(tmp_path: Path) -> None:
    disk = RefusesOnce()
    log = open_embedded(tmp_path, disk=disk)
    first = TopicOutput(log, RAW)
    first.put([stamped(0), stamped(1)])
    first.put([stamped(2)])
    disk.may_refuse.set()
    with pytest.raises(Full):
        first.wait()
    with pytest.raises(Full):
        first.put([stamped(3)])
    first.close()
    assert payloads_of(log) == []
    second = TopicOutput(log, RAW)
    for offset in range(4):
        second.put([stamped(offset)])
    second.wait()
    second.close()
    assert payloads_of(log) == [stamped(offset)[1] for offset in range(4)]
    log.close()
