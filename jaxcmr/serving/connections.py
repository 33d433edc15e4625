"""Connections that may not wait forever: their number and the time for a request's head."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 1000  # connections at once
SHARE = 0.75  # of them for one address
HEAD_SECONDS = 10.0  # until a request's head has arrived
KEPT_SECONDS = 30  # that a connection may be silent between two requests


class Connection(H11Protocol):
    """A connection of HTTP/1.1 whose client has to send its head, and read its answer, in time.

    `uvicorn` bounds neither the time for a head nor the number of connections that send none.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._clock: asyncio.TimerHandle | None = None
        address = self.client and self.client[0]
        mine = sum(address == (other.client and other.client[0]) for other in self.connections)
        if len(self.connections) > MOST or mine > MOST * SHARE:
            self._say(503, "there are too many connections; try again")
        else:
            self._expect_head(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clock()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._expect_head(KEPT_SECONDS + HEAD_SECONDS)

    def send_400_response(self, msg: str) -> None:
        del msg
        self._say(400, "this is no valid HTTP request")

    def _expect_head(self, seconds: float) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(seconds, self._check_head, self.cycle)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _check_head(self, before: Any) -> None:
        """Ends the connection if no request has come since `before`."""
        if self not in self.connections or self.cycle is not before:
            return
        if self.conn.our_state is h11.IDLE and not self.transport.get_write_buffer_size():
            self._say(408, "the head of the request did not arrive in time")
        else:  # the client does not read
            self.transport.abort()

    def _say(self, status: int, sentence: str) -> None:
        """Answers without a request, and ends the connection."""
        if not self.transport.is_closing():
            body = json.dumps({"error": sentence}).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
                "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()
