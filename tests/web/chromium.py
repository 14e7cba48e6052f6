"""A headless Chromium, driven over its debugging pipe: messages are JSON texts that end in a zero byte.

No port is opened and no library is needed. What the page logs as an error or refuses for its security policy is kept in
`complaints`.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WITHIN_S = 30.0
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of a browser."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, back: int) -> None:
        self._process = process
        self._out = out
        self._back = back
        self._rest = b""
        self._number = 0
        self._session = ""
        self._loads = 0
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Load a page and wait until it has loaded."""
        loads = self._loads
        self._call("Page.navigate", url=url)
        ends_at = time.monotonic() + WITHIN_S
        while self._loads == loads:
            self._take(ends_at)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """The window's inner size in pixels, and what the system prefers."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def scripts(self, *, on: bool) -> None:
        """Let pages run scripts, or not."""
        self._call("Emulation.setScriptExecutionDisabled", value=not on)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page; promises are awaited."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true in the page; return its value."""
        pause = threading.Event()
        ends_at = time.monotonic() + WITHIN_S
        while not (value := self.value(expression)):
            assert time.monotonic() < ends_at, f"not true within {WITHIN_S} s: {expression}"
            pause.wait(0.05)
        return value

    def text(self, selector: str) -> str:
        """The text that a person sees in the first element of a selector."""
        return str(self.until(f"document.querySelector({json.dumps(selector)})?.innerText"))

    def press(self, key: str, *, ctrl: bool = False) -> None:
        """A key pressed and released where the focus is."""
        codes = {"Enter": 13, "Tab": 9, " ": 32}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 2 if ctrl else 0}
        self._call("Input.dispatchKeyEvent", type="rawKeyDown", **common)
        self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self._call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """The visible part of the page as a PNG file."""
        import base64

        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._send("Browser.close", {}, "")
        self._process.wait(WITHIN_S)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = self._send(method, parameters, self._session)
        ends_at = time.monotonic() + WITHIN_S
        while True:
            message = self._take(ends_at)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result

    def _send(self, method: str, parameters: dict[str, Any], session: str) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _take(self, ends_at: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            readable, _, _ = select.select([self._back], [], [], max(ends_at - time.monotonic(), 0))
            assert readable, f"the browser did not answer within {WITHIN_S} s"
            more = os.read(self._back, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loads += 1
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        return message


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; it has ended when the block is left."""
    read_by_it, out = os.pipe()
    back, written_by_it = os.pipe()
    line = f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}'
    command = ["bash", "-c", line, "chromium", program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        command, pass_fds=(read_by_it, written_by_it), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(read_by_it)
    os.close(written_by_it)
    try:
        browser = Browser(process, out, back)
        yield browser
        browser.close()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(out)
        os.close(back)
