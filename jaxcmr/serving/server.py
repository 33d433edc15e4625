"""Runs the server: its port, its threads, its end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from jaxcmr.errors import UsageError
from jaxcmr.serving.connections import KEPT_SECONDS, Connection

LOCAL = ("127.0.0.1", "localhost", "::1")
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")  # as they stand in the header `Host`
STOP_SECONDS = 5  # for what is under way when the server stops
BACKLOG = 512  # connections that wait to be accepted
HEAD_BYTES = 16_384  # of a request
TURN_SECONDS = 0.001  # of a thread that computes in Python, while others wait to answer
FILES = 4096  # descriptors of connections and files, where the system allows so many


def bound(host: str, port: int) -> socket.socket:
    """Binds a socket, so that a mistake shows before anything is loaded.

    Raises:
        UsageError: the port is in use or not allowed, or the host is none of this machine.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
    except OSError as error:
        raise UsageError(f"--host={host} is no address: {error.strerror or error}") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _opening(found, host, port):
        found.bind(address)
        found.listen(0)  # else a second server could bind it, too
    return found


@contextlib.contextmanager
def _opening(found: socket.socket, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found.close()
        advice = {
            errno.EADDRINUSE: "it is in use; stop what listens there, or choose another --port",
            errno.EACCES: "this user may not; choose a --port above 1023",
            errno.EADDRNOTAVAIL: "this machine has no such address; correct --host",
        }.get(error.errno, os.strerror(error.errno or 0))
        raise UsageError(f"port {port} of {host} cannot be opened: {advice}") from None


def address(found: socket.socket) -> str:
    """Returns where a browser finds a socket, `http://127.0.0.1:8000`."""
    host, port = found.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answers requests until SIGTERM or Ctrl-C; then ends what is under way, and returns.

    Args:
        app: the application.
        listening: a bound socket.
        ready: called once requests are answered.
    """
    _allow_files()
    sys.setswitchinterval(TURN_SECONDS)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what goes wrong in requests the application logs itself
        access_log=False,
        proxy_headers=False,  # which anybody could send
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    _Server(config, ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that says when it is ready, and that signals end without an error."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Lets signals stop the server alone; the base class raises them again at its end."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _allow_files() -> None:
    """Lets the process open more files than the 1024 that many systems begin with."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
