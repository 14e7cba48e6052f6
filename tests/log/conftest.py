"""Suites that look behind the port run with either driver of the flushes: a thread, or an event loop with io_uring."""

from __future__ import annotations

from functools import partial

import pytest

from tests.log.opening import KINDS, Kind, Opener, open_embedded, skip_without_ring


@pytest.fixture(params=KINDS)
def log_kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "loop":
        skip_without_ring()
    return KINDS[request.param]


@pytest.fixture
def opened(log_kind: Kind) -> Opener:
    """`open_embedded` for a log of that kind."""
    return partial(open_embedded, kind=log_kind)
