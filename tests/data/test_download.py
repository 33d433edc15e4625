import hashlib
import http.server
import socket
import threading
import time

import pytest

from jaxcmr.data.sources.download import UnreachableError, fetch
from jaxcmr.errors import UsageError

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with an ETag; knows ranges; can break off after `cut` bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        if self.path != "/file.zip":
            self.send_error(404, "Not Found")
            return
        start = 0
        if "Range" in self.headers and self.headers.get("If-Range") == server.tag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(CONTENT):
                self.send_error(416, "Range Not Satisfiable")
                return
            self.send_response(206)
        else:
            self.send_response(200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.cut])
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("JAXCMR_OFFLINE")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.tag, server.cut = [], '"one"', None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    yield server
    server.shutdown()
    server.server_close()


def test_a_download_is_whole_and_leaves_nothing_else(server, tmp_path):
    expected = hashlib.sha256(CONTENT).hexdigest()
    path = tmp_path / "new" / "file.zip"
    assert fetch(server.url, path, expected_sha256=expected) == expected
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_it_resumes_where_it_broke_off(server, tmp_path):
    path = tmp_path / "file.zip"
    server.cut = 300_000
    with pytest.raises(UsageError, match=r"broke off .*the same command goes on"):
        fetch(server.url, path)
    assert not path.exists()
    got = (tmp_path / "file.zip.part").stat().st_size
    assert 0 < got <= 300_000
    server.cut = None
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == f"bytes={got}-"


def test_it_starts_again_when_the_file_has_changed(server, tmp_path):
    path = tmp_path / "file.zip"
    server.cut = 300_000
    with pytest.raises(UsageError):
        fetch(server.url, path)
    (tmp_path / "file.zip.part").write_bytes(b"old version" * 1000)
    server.tag, server.cut = '"two"', None
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_starts_again(server, tmp_path):
    path = tmp_path / "file.zip"
    (tmp_path / "file.zip.part").write_bytes(CONTENT + b"more")
    (tmp_path / "file.zip.part.json").write_text('{"version": "\\"one\\""}')
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_damaged_note_starts_again(server, tmp_path):
    path = tmp_path / "file.zip"
    (tmp_path / "file.zip.part").write_bytes(b"xx")
    (tmp_path / "file.zip.part.json").write_text("{")
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_deletes_the_file(server, tmp_path):
    with pytest.raises(UsageError, match=r"has the checksum .* not 000000000000"):
        fetch(server.url, tmp_path / "file.zip", expected_sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_one_sentence(server, tmp_path):
    with pytest.raises(UsageError, match="the server answers 404 Not Found"):
        fetch(server.url + "x", tmp_path / "file.zip")


def test_no_server_is_found_out_quickly(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXCMR_OFFLINE")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\.1"):
        fetch(f"http://127.0.0.1:{port}/file.zip", tmp_path / "file.zip")
    assert time.monotonic() - started < 6
    assert list(tmp_path.iterdir()) == []


def test_a_name_server_that_does_not_answer_costs_five_seconds_at_most(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXCMR_OFFLINE")
    monkeypatch.setattr("jaxcmr.data.sources.download.CONNECT_SECONDS", 0.2)
    hang = threading.Event()
    monkeypatch.setattr(
        socket, "create_connection", lambda *a, **k: hang.wait() and socket.socket()
    )
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="no answer"):
        fetch("http://data.invalid/file.zip", tmp_path / "file.zip")
    assert time.monotonic() - started < 2
    hang.set()


def test_offline_by_choice(tmp_path):
    with pytest.raises(UnreachableError, match="JAXCMR_OFFLINE"):
        fetch("http://127.0.0.1:1/file.zip", tmp_path / "file.zip")


def test_two_at_once_download_once(server, tmp_path):
    digests = []
    threads = [
        threading.Thread(target=lambda: digests.append(fetch(server.url, tmp_path / "file.zip")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [hashlib.sha256(CONTENT).hexdigest()] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["file.zip"]


def test_a_folder_that_cannot_be_written_is_one_sentence(server, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        fetch(server.url, tmp_path / "file" / "file.zip")
