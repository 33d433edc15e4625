"""What every request passes through: the host's name, the rate, and strict headers of answers."""

import asyncio
import json
import math
import time
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jaxcmr.serving.limits import BODY_READ, Rate, RefusedError

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
PICTURE_POLICY = "default-src 'none'; sandbox"  # for all but the page, which has its own
LINGER = 1.0  # seconds in which a client that still sends may read that it was refused


class Entrance:
    """Lets requests in whose host name is expected, at a limited rate.

    A page of a stranger can lead its visitor's browser to this server under another host name (DNS
    rebinding). Who was asked for tells.

    Args:
        app: what answers the others.
        hosts: names that may stand in the header `Host`, in small letters; None: all.
        rate: of the requests of each address.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, rate: Rate):
        self._app, self._hosts, self._rate = app, hosts, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("content-security-policy", PICTURE_POLICY)
            await send(message)

        try:
            self._check(scope)
        except RefusedError as refusal:
            return await answer(scope, refusal)(scope, receive, send_strictly)
        await self._app(scope, receive, send_strictly)

    def _check(self, scope: Scope) -> None:
        """Raises a `RefusedError` for a request that does not come in."""
        host = Headers(scope=scope).get("host", "").lower()
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        if self._hosts is not None and name not in self._hosts:
            raise RefusedError(
                400, "this server does not answer under that host name; use 127.0.0.1"
            )
        self._rate.take(scope["client"][0] if scope.get("client") else "")


class Json(JSONResponse):
    """JSON in ASCII alone: names of files, which ids may be, need not be text that can be sent."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def answer(scope: Scope, refusal: RefusedError) -> Json:
    """Returns the answer of a refusal; behind a body that was not read the connection ends."""
    headers = {}
    if refusal.retry_after:
        headers["retry-after"] = str(math.ceil(refusal.retry_after))
    content = {"error": str(refusal)}
    sent = Headers(scope=scope)
    has_body = sent.get("content-length", "0") != "0" or "transfer-encoding" in sent
    if not has_body or scope.get(BODY_READ):
        return Json(content, refusal.status, headers)
    return _LastWord(content, refusal.status, {**headers, "connection": "close"})


class _LastWord(Json):
    """An answer to a client that still sends; its connection ends soon after.

    Closed at once, the connection would be reset below what the client sends, and many clients
    would not see the answer. So what comes is thrown away for a moment, slowly.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        end = time.monotonic() + LINGER
        try:
            async with asyncio.timeout(LINGER):
                while time.monotonic() < end:
                    message = await receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        break
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})
