"""Durable writes without a thread: one write at a time through the kernel's io_uring, whose descriptor an event loop
watches.

    write ─▶ entry in the submission ring ─▶ kernel's worker thread: pwrite, RWF_DSYNC ─▶ entry in the completion ring
                                                                        descriptor readable ─▶ finished: its result

Two rings are shared with the kernel. All numbers are in the machine's byte order; the offsets of the words come from
`io_uring_setup`.

    submission entry   u8 opcode (23: write) · u8 flags (16: by a kernel thread, never in this call) · u16 priority ·
      64 bytes         s32 descriptor · u64 position · u64 address · u32 length · u32 rw_flags (2: RWF_DSYNC) ·
                       u64 name · 24 bytes zero
    completion entry   u64 name · s32 result (bytes written, or -errno) · u32 flags
      16 bytes

Memory order. The kernel reads the submission ring only in `io_uring_enter`, which this thread calls after it has
written there. It writes the completion entry, then the ring's tail, then wakes the poll; `finished` is for whoever was
told by a poll or by `wait`, system calls both, so it cannot see an older entry behind the newer tail, on ARM either.
Should it nevertheless, the entry has another name than the write, and counts as not there yet.

A process that ends, however it ends, keeps its locks until the kernel's worker threads are gone, as with its own.

Needs Linux 5.6. Sources: io_uring(7), io_uring_setup(2), io_uring_enter(2), `include/uapi/linux/io_uring.h`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from mmap import MAP_POPULATE, MAP_SHARED, mmap

_SETUP, _ENTER = 425, 426
"""Numbers of the system calls, the same on every architecture but Alpha."""
_GET_EVENTS = 1
_WRITE, _BY_WORKER = 23, 16
_NEEDED = 0b1111
"""IORING_FEAT_SINGLE_MMAP, NODROP, SUBMIT_STABLE and RW_CUR_POS; the last came with the write operation, in 5.6."""
_ENTRIES_OFFSET = 0x10000000
_SUBMISSION = struct.Struct("=BBHiQQIIQ24x")
_COMPLETION = struct.Struct("=QiI")
_WRAP = 0xFFFFFFFF

_call = ctypes.CDLL(None, use_errno=True).syscall


class _Parameters(ctypes.Structure):
    _fields_ = (
        ("sq_entries", ctypes.c_uint32),
        ("cq_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("sq_thread_cpu", ctypes.c_uint32),
        ("sq_thread_idle", ctypes.c_uint32),
        ("features", ctypes.c_uint32),
        ("wq_fd", ctypes.c_uint32),
        ("resv", ctypes.c_uint32 * 3),
        ("sq_off", ctypes.c_uint32 * 10),  # head, tail, mask, entries, flags, dropped, array, …
        ("cq_off", ctypes.c_uint32 * 10),  # head, tail, mask, entries, overflow, completions, …
    )


class Ring:
    """Carries out one durable write at a time. `descriptor` is readable when it has finished. Not for two threads at
    once."""

    def __init__(self) -> None:
        """Raises OSError when the kernel has no io_uring, an older one, or does not let this process have it."""
        parameters = _Parameters()
        self.descriptor = _checked("io_uring_setup", _call(_SETUP, 1, ctypes.byref(parameters)))
        try:
            if parameters.features & _NEEDED != _NEEDED:
                raise OSError(0, f"io_uring of this kernel has features {parameters.features:#x}, too old")
            sq, cq = parameters.sq_off, parameters.cq_off
            size_bytes = max(sq[6] + parameters.sq_entries * 4, cq[5] + parameters.cq_entries * _COMPLETION.size)
            self._rings = mmap(self.descriptor, size_bytes, MAP_SHARED | MAP_POPULATE)
            self._entries = mmap(
                self.descriptor,
                parameters.sq_entries * _SUBMISSION.size,
                MAP_SHARED | MAP_POPULATE,
                offset=_ENTRIES_OFFSET,
            )
        except BaseException:
            os.close(self.descriptor)
            raise
        self._words = memoryview(self._rings)[: size_bytes & ~3].cast("I")
        self._words[sq[6] // 4] = 0  # the one place in the submission ring names the one entry
        self._taken_at, self._offered_at, self._read_at, self._written_at = (
            sq[0] // 4,
            sq[1] // 4,
            cq[0] // 4,
            cq[1] // 4,
        )
        self._completions, self._mask = cq[5], self._words[cq[2] // 4]
        self._name = 0
        self._content = b""

    def write(self, descriptor: int, content: bytes, position: int) -> None:
        """Begin to write `content`, at least one byte, at `position`. Only when no write is on its way. Raises OSError
        when the kernel does not take it; then nothing of it is written."""
        name = self._name + 1
        self._content = content  # stays as long as the kernel reads it
        address = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value
        _SUBMISSION.pack_into(
            self._entries, 0, _WRITE, _BY_WORKER, 0, descriptor, position, address, len(content), os.RWF_DSYNC, name
        )
        # One more than the kernel has taken, whatever became of earlier ones: never is a second entry offered.
        self._words[self._offered_at] = (self._words[self._taken_at] + 1) & _WRAP
        if not _checked("io_uring_enter", _call(_ENTER, self.descriptor, 1, 0, 0, None, 0)):
            raise OSError(errno.EAGAIN, "io_uring_enter took nothing")
        self._name = name

    def finished(self) -> int | None:
        """How the write ended: the bytes that are on the disk, perhaps fewer than given, or a negative errno. None
        while it is on its way. Tells it once."""
        at = self._words[self._read_at]
        if at == self._words[self._written_at]:
            return None
        name, result, _ = _COMPLETION.unpack_from(self._rings, self._completions + (at & self._mask) * _COMPLETION.size)
        if name != self._name:
            return None
        self._words[self._read_at] = (at + 1) & _WRAP
        self._content = b""
        return int(result)

    def wait(self) -> None:
        """Return when the write has finished."""
        while True:
            try:
                _checked("io_uring_enter", _call(_ENTER, self.descriptor, 0, 1, _GET_EVENTS, None, 0))
            except InterruptedError:
                continue
            return

    def close(self) -> None:
        """Only when no write is on its way."""
        self._words.release()
        self._rings.close()
        self._entries.close()
        os.close(self.descriptor)


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
