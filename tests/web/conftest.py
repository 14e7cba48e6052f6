"""A scene for each test, and one browser for all of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.scene import Scene
from tests.web.scene import scene as made_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with made_scene(tmp_path) as made:
        yield made
