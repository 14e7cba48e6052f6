"""Reading files in several processes: `stream` starts them, running this module as their program.

A worker is a Python of its own, not a fork and not a spawned copy of the caller's main program: it works the same from
a script without a main guard, from a notebook and from a service with threads. It gets its job on standard input,
pickled, and writes batches of records to standard output, each behind its length (4 bytes, big-endian). A pipe that is
full holds the worker up, so a slow reader costs no memory: at most a batch and an object for each worker.
"""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

from catchment.datasets.reading import Damaged, Reading
from catchment.errors import CatchmentError, QueryError, Unavailable

BATCH_RECORDS = 200
_LENGTH_BYTES = 4


def stream(reading: Reading, groups: Sequence[Sequence[str]]) -> Iterator[dict[str, Any] | Damaged]:
    """The records of all files, a worker for each group, in the order in which they come. Raises what a worker raises,
    and Unavailable when one dies. The workers end with the iterator."""
    try:
        jobs = [pickle.dumps((sys.path, pickle.dumps((reading, list(keys))))) for keys in groups]
    except (pickle.PicklingError, AttributeError) as error:
        raise QueryError(
            f"decode={reading.decode!r} cannot be sent to other processes: {error}; put it into a module, or read with "
            "workers=0"
        ) from error
    workers: list[subprocess.Popen[bytes]] = []
    try:
        with selectors.DefaultSelector() as selector:
            for job in jobs:
                worker = subprocess.Popen(
                    [sys.executable, "-m", "catchment.datasets.workers"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                )
                workers.append(worker)
                assert worker.stdin is not None and worker.stdout is not None
                _write(worker.stdin, job)
                selector.register(worker.stdout, selectors.EVENT_READ, worker)
            while selector.get_map():
                for key, _ in selector.select():
                    batch = _read(key.data)
                    if batch is None:
                        selector.unregister(key.fileobj)
                    else:
                        yield from batch
    finally:
        for worker in workers:
            worker.kill()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()
            worker.wait()


def _read(worker: subprocess.Popen[bytes]) -> list[Any] | None:
    """The next batch, None at the end."""
    assert worker.stdout is not None
    length = int.from_bytes(_exactly(worker, worker.stdout, _LENGTH_BYTES))
    batch = pickle.loads(_exactly(worker, worker.stdout, length))
    if isinstance(batch, Exception):
        raise batch
    assert batch is None or isinstance(batch, list)
    return batch


def _exactly(worker: subprocess.Popen[bytes], pipe: IO[bytes], size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = pipe.read(size - len(parts))
        if not part:
            raise Unavailable(
                f"reading a dataset: a worker ended with code {worker.wait()} before its files did; read again, with "
                "workers=1 to use less memory"
            )
        parts += part
    return bytes(parts)


def _write(pipe: IO[bytes], content: bytes) -> None:
    view = memoryview(len(content).to_bytes(_LENGTH_BYTES) + content)
    while view:
        written = pipe.write(view)
        view = view[written:]


def main() -> None:
    """A worker's life."""
    taken = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(_LENGTH_BYTES)))
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a decoder prints is no batch
    sys.path[:], job = pickle.loads(taken)
    reading, keys = pickle.loads(job)  # which may import from that path
    try:
        batch: list[Any] = []
        for record in reading.records(keys):
            batch.append(record)
            if len(batch) >= BATCH_RECORDS:
                _write(out, pickle.dumps(batch))
                batch = []
        if batch:
            _write(out, pickle.dumps(batch))
        _write(out, pickle.dumps(None))
    except BrokenPipeError:
        return  # the reader has enough
    except CatchmentError as error:
        _write(out, pickle.dumps(error))
    except Exception as error:  # noqa: BLE001 - of a decoder of the caller's, who shall see it
        _write(out, pickle.dumps(QueryError(f"reading a dataset: {type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
