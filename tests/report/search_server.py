"""A server that stands in for the real one: it notes what a search page asks, and answers that."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import audit_tables
from search_rows import COLORS

from jaxcmr.report.search import page

HEALTH = {
    "status": "ok",
    "modalities": ["image", "text"],
    "kinds": {"image": "image", "text": "text"},
    "files": {"image": [".png", ".jpg", ".jpeg"], "text": [".txt"]},
    "items": {"image": 1500, "text": 1500},
    "fields": {"color": "text", "price": "float", "new": "bool", "empty": "none"},
    "classes": ["chair", "table", "sofa", *COLORS],
    "body_bytes": 200_000,
}


def hit(row: int, **other):
    """A hit of the stand-in: every third row is a text."""
    texts = row % 3 == 2
    return {
        "row": row, "id": f"item-{row}", "modality": "text" if texts else "image",
        "score": 0.9 - row / 100, "text": f"A chair, number {row}" if texts else None,
        "picture": None if texts else f"/items/{row}",
        "metadata": {"color": COLORS[row % 3], "price": row / 3, "new": row % 2 == 0, "none": None},
    } | other  # fmt: skip


class StandIn(ThreadingHTTPServer):
    """Answers as `answer(asked)` says: a status and a JSON value, or the bytes of a body."""

    daemon_threads = True

    def __init__(self, health):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page, self.asked, self.seconds = page.render(health), [], 0.0
        self.answer = self.hits

    @staticmethod
    def hits(asked):
        return 200, {"hits": [hit(row) for row in range(asked["k"])], "seconds": 0.0123}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            return self._send(200, "text/html; charset=utf-8", self.server.page.encode())
        row = self.path.removeprefix("/items/")
        if not row.isdigit() or int(row) % 7 == 6:  # of some there is no picture
            return self._send(404, "application/json", b'{"error": "no picture"}')
        return self._send(200, "image/png", audit_tables._drawn(int(row), int(row) % 4))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/search" and self.headers["content-type"] == "application/json"
        self.server.asked.append(asked)
        time.sleep(self.server.seconds)
        status, content = self.server.answer(asked)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._send(status, "application/json", body)

    def _send(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def served(health=HEALTH):
    """Serves the page of an index while the context lasts."""
    server = StandIn(health)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
