"""The walk-through of docs/minute.md, command by command, on a platform as a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.firefox.running import running

PAGE = Path(__file__).parents[2] / "docs" / "minute.md"
BLOCKS = re.compile(r"```sh\n(?P<commands>.*?)```(?:\s*```text\n(?P<printed>.*?)```)?", re.DOTALL)
PROMISED_S = 5.0
PATIENCE_S = 60.0
"""A flush and a start of Python stand between a ping and its row, on a machine that may be busy."""


def shell(folder: Path, commands: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "300"}
    environment["CATCHMENT_HOME__PATH"] = str(folder / "data")
    ran = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr


def test_the_walk_through_works_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "data").symlink_to("home")
    blocks = [(found["commands"], found["printed"] or "") for found in BLOCKS.finditer(PAGE.read_text("utf-8"))]
    assert len(blocks) == 9
    with running(tmp_path, {}) as platform:
        for commands, printed in blocks:
            commands = commands.replace("127.0.0.1:8000", f"127.0.0.1:{platform.edge_port}")
            expected = printed.split("\n")
            ends_at = time.monotonic() + PATIENCE_S
            said = shell(tmp_path, commands)
            while not all(line in said for line in expected) and "curl" not in commands:
                assert time.monotonic() < ends_at, f"{commands}\nprinted\n{said}\nnot\n{printed}"
                said = shell(tmp_path, commands)
            assert all(line in said for line in expected), f"{commands}\nprinted\n{said}\nnot\n{printed}"
    dropped = (tmp_path / "data/schemas/shop/order/order.1.schema.json").stat().st_mtime
    made = min(path.stat().st_mtime for path in (tmp_path / "data/objects/tables").glob("shop*/**/*.metadata.json"))
    assert made - dropped < PROMISED_S
