"""Runs the console: binds its port, looks at the platform, serves pages until told to stop.

The HTTP server has a thread and an event loop of its own, so that the caller's thread waits for `stop` and its signal
handlers stay in force. Stopping ends running queries first, then gives open answers a moment.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable

import uvicorn
import uvloop

from catchment.errors import BadConfig
from catchment.events import Events
from catchment.web.app import Console
from catchment.web.ground import Platform
from catchment.web.settings import ConsoleSettings

_GRACE_S = 3
_MAX_CONNECTIONS = 256


def run_console(
    settings: ConsoleSettings,
    platform: Platform,
    stop: threading.Event,
    on_ready: Callable[[int], None],
    events: Events | None = None,
) -> None:
    """Serve the console until `stop` is set; `on_ready` is called with the port, in this thread, when pages answer.

    Raises BadConfig when the address cannot be bound, and whatever ended the server early.
    """
    events = events or Events("console")
    listener = _listen(settings)
    console = Console(settings, platform, events)
    server = _Server(console, listener, stop, events)
    try:
        console.start()
        server.start()
        if server.await_listening():
            on_ready(int(listener.getsockname()[1]))
        stop.wait()
    finally:
        console.close()
        server.close()
        listener.close()
    if server.failure is not None:
        raise server.failure


def _listen(settings: ConsoleSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise BadConfig(
            f"console {where} cannot be bound: {error.strerror or error}; set [console] host or port"
        ) from error


class _Server:
    """uvicorn on a thread. `failure` is what ended it before it was told to."""

    def __init__(self, console: Console, listener: socket.socket, stop: threading.Event, events: Events) -> None:
        config = uvicorn.Config(
            console.app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._http = uvicorn.Server(config)
        self._listener = listener
        self._stop = stop
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._log = _EventsHandler(events)
        self.failure: BaseException | None = None

    def start(self) -> None:
        logging.getLogger("uvicorn.error").addHandler(self._log)
        self._thread.start()

    def await_listening(self) -> bool:
        """Wait until requests are answered; False when the server ended before."""
        self._listening.wait()
        return self.failure is None

    def close(self) -> None:
        self._http.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        logging.getLogger("uvicorn.error").removeHandler(self._log)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except (Exception, SystemExit) as error:  # noqa: BLE001  handed to the caller of run_console
            self.failure = error
        finally:
            self._listening.set()
            self._stop.set()

    async def _serve(self) -> None:
        serving = asyncio.create_task(self._http.serve(sockets=[self._listener]))
        while not self._http.started and not serving.done():
            await asyncio.sleep(0.01)
        self._listening.set()
        await serving


class _EventsHandler(logging.Handler):
    """Warnings and errors of the HTTP server, as events."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        text = f"{type(cause).__name__}: {cause}" if cause else record.getMessage()
        self._events.warning("http_failed", text=text.splitlines()[0][:500] if text else "")
