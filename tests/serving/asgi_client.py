"""A client that calls the application itself, without a socket."""

import asyncio
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app, method: str, path: str, body: Any = b"", headers: dict[str, str] | None = None,
    client: str = "127.0.0.1", chunks: list[bytes] | None = None, stalls: bool = False,
) -> Answer:  # fmt: skip
    """Sends one request and returns its answer.

    Args:
        app: the application.
        method: of HTTP.
        path: with its query string.
        body: bytes, or what becomes JSON.
        headers: beside the usual ones, which they replace.
        client: its address.
        chunks: pieces in which the body arrives instead of `body`; no length is announced.
        stalls: whether the body never comes to its end.
    """
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"host": "127.0.0.1:8000", "content-type": "application/json"}
    if chunks is None:
        chunks = [body]
        head["content-length"] = str(len(body))
    else:
        head["transfer-encoding"] = "chunked"
    head |= headers or {}
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "root_path": "",
        "raw_path": path.encode(), "query_string": query.encode(), "scheme": "http",
        "headers": [(k.encode(), v.encode()) for k, v in head.items() if v is not None],
        "client": (client, 50000), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    pieces, sent = iter(chunks), []
    left = len(chunks)

    async def receive():
        nonlocal left
        left -= 1
        piece = next(pieces, None)
        if piece is None:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": piece, "more_body": left > 0 or stalls}

    async def send(message):
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # which Starlette raises again behind its answer, for the log of uvicorn
        if not sent:
            raise
    start = next(m for m in sent if m["type"] == "http.response.start")
    found = {k.decode(): v.decode() for k, v in start["headers"]}
    content = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    return Answer(start["status"], found, content)
