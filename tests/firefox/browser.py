"""A headless Firefox with a fresh profile, started, quit in an orderly way, and read afterwards.

Quitting goes through Marionette (the browser's own remote control): a signal would end it without its shutdown pings.
The messages are `<length>:<JSON>`, requests `[0, number, command, parameters]`, answers `[1, number, error, result]`.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import inotify_simple  # type: ignore[import-untyped]

BINARY = "firefox-esr"
PREFERENCES = Path(__file__).parent / "user.js"
STARTS_WITHIN_S = 60.0
QUITS_WITHIN_S = 60.0


class Firefox:
    """One browser. Its profile, home and temporary files are all in `folder`."""

    def __init__(self, folder: Path, edge_port: int) -> None:
        self._folder = folder
        self.profile = folder / "profile"
        self.profile.mkdir(parents=True)
        preferences = PREFERENCES.read_text(encoding="utf-8").replace("@PORT@", str(edge_port))
        (self.profile / "user.js").write_text(preferences, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it can be told to quit."""
        folder = str(self._folder)
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "XDG_RUNTIME_DIR": folder}
        with (self._folder / "firefox.log").open("wb") as log:
            self._process = subprocess.Popen(
                [BINARY, "--headless", "--no-remote", "--marionette", "--profile", str(self.profile)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._port = int(appears(self.profile / "MarionetteActivePort", STARTS_WITHIN_S))

    def ask_to_quit(self) -> None:
        """Close it as a user does. Its ping sender delivers at once; the browser itself may take its time to end."""
        assert self._process is not None
        with socket.create_connection(("127.0.0.1", self._port), timeout=QUITS_WITHIN_S) as connection:
            stream = connection.makefile("rwb")
            _receive(stream)  # the greeting
            for number, (command, parameters) in enumerate(
                (("WebDriver:NewSession", {}), ("Marionette:Quit", {"flags": ["eAttemptQuit"]}))
            ):
                text = json.dumps([0, number, command, parameters]).encode()
                stream.write(b"%d:%s" % (len(text), text))
                stream.flush()
                error = _receive(stream)[2]
                assert error is None, f"{command}: {error}"

    def wait_for_exit(self) -> None:
        assert self._process is not None
        assert self._process.wait(QUITS_WITHIN_S) == 0

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def client_id(self) -> str:
        """The client id that the profile keeps."""
        state = json.loads((self.profile / "datareporting" / "state.json").read_text(encoding="utf-8"))
        return str(state["clientID"])

    @property
    def build_id(self) -> str:
        """The build that the profile was last used with, as the browser noted it there."""
        noted = configparser.ConfigParser(interpolation=None)
        noted.read(self.profile / "compatibility.ini", encoding="utf-8")
        found = re.search(r"_(\d{14})/", noted["Compatibility"]["LastVersion"])
        assert found is not None
        return found[1]


@contextmanager
def firefox(folder: Path, edge_port: int) -> Iterator[Firefox]:
    """A started browser, which is gone when the block ends."""
    browser = Firefox(folder, edge_port)
    try:
        browser.start()
        yield browser
    finally:
        browser.kill()


def is_installed() -> bool:
    return shutil.which(BINARY) is not None


def appears(path: Path, within_s: float) -> str:
    """The text of a file as soon as somebody has written it."""
    with inotify_simple.INotify() as watch:
        watch.add_watch(path.parent, inotify_simple.flags.CLOSE_WRITE | inotify_simple.flags.MOVED_TO)
        while not (path.exists() and path.stat().st_size):
            assert watch.read(timeout=int(within_s * 1000)), f"{path} did not appear in {within_s} s"
        return path.read_text(encoding="utf-8")


def _receive(stream: Any) -> Any:
    length = b""
    while (digit := stream.read(1)) != b":":
        assert digit, "Firefox closed the connection"
        length += digit
    return json.loads(stream.read(int(length)))
