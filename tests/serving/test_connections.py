"""Connections that send nothing, or no HTTP, or are too many, end; so does the server on demand."""

import asyncio
import contextlib
import json
import socket
import threading
import time

import color_shop as shop
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.serving import connections, server
from jaxcmr.serving.limits import Limits

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(folder, limits=None):
    """Runs a server in a thread; yields its port."""
    app, _ = shop.opened(folder, limits)
    listening, ready = server.bound("127.0.0.1", 0), threading.Event()
    made = []

    class Noted(server._Server):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

        def capture_signals(self):  # which only the main thread may
            return contextlib.nullcontext()

    before, server._Server = server._Server, Noted
    thread = threading.Thread(target=server.run, args=(app, listening, ready.set))
    thread.start()
    assert ready.wait(20)
    server._Server = before
    try:
        yield listening.getsockname()[1]
    finally:
        made[0].should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def port(tmp_path):
    with running(tmp_path, Limits(body_seconds=0.5)) as port:
        yield port


def said(connection: socket.socket) -> tuple[int, dict]:
    """Reads an answer to its end; returns its status and JSON."""
    content = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


POST = b"POST /search HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def test_a_head_that_does_not_come_to_its_end_is_given_up(port, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    for sent in (b"", b"GET / HTTP/1.1\r\nhost: 127"):
        with connected(port) as connection:
            connection.sendall(sent)
            status, content = said(connection)
            assert status == 408 and "did not arrive in time" in content["error"]


def test_a_second_head_that_does_not_come_is_given_up_too(port, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.2)
    with connected(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET / HT")
        content = b""
        while piece := connection.recv(65536):
            content += piece
    assert content.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 408" in content


def test_a_body_that_does_not_come_is_given_up(port):
    with connected(port) as connection:
        connection.sendall(POST + b"content-length: 100\r\n\r\n{")
        status, content = said(connection)
    assert status == 408 and "1 seconds" in content["error"]


def test_what_is_no_http_gets_an_answer(port):
    for sent in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000):
        with connected(port) as connection:
            connection.sendall(sent)
            assert said(connection) == (400, {"error": "this is no valid HTTP request"})
    with connected(port) as connection:
        connection.sendall(POST + b"transfer-encoding: chunked\r\n\r\nno number\r\n")
        assert said(connection)[0] == 400


def test_a_body_of_a_gigabyte_is_refused_while_it_is_sent(port):
    for head in (b"content-length: 1000000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"):
        with connected(port) as connection:
            connection.sendall(POST + head)
            sent, piece = 0, b"10000\r\n" + b"x" * 65536 + b"\r\n"
            with contextlib.suppress(OSError):
                while sent < 10**9:
                    sent += connection.send(piece)
            assert sent < 10**8
            status, content = said(connection)
            assert status == 413 and "10,000,000 bytes" in content["error"]


def test_one_more_connection_than_there_may_be_is_sent_away(port, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 4)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(port))
        time.sleep(0.2)
        with connected(port) as last:
            assert said(last)[0] == 503
    time.sleep(0.2)
    with connected(port) as again:
        again.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        assert said(again)[0] == 200


def test_a_client_that_goes_away_while_it_is_answered_harms_nothing(port):
    body = json.dumps({"text": "red"}).encode()
    for _ in range(20):
        with connected(port) as connection:
            connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
    with connected(port) as connection:
        connection.sendall(POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        connection.sendall(body)
        assert said(connection)[0] == 200


def test_a_client_that_waits_to_send_is_refused_before_it_does(port):
    with connected(port) as connection:
        connection.sendall(POST + b"expect: 100-continue\r\ncontent-length: 100000000\r\n\r\n")
        assert said(connection)[0] == 413


def test_what_is_under_way_is_answered_when_the_server_ends(tmp_path):
    body = json.dumps({"text": "red"}).encode()
    with running(tmp_path) as port:
        connection = connected(port)
        connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body[:-1])
        silent = connected(port)
        time.sleep(0.2)
        timer = threading.Timer(0.5, connection.sendall, [body[-1:]])
        timer.start()
    assert said(connection)[0] == 200  # the server has ended by now
    with contextlib.suppress(OSError):
        assert silent.recv(1) == b""


def test_ports_that_cannot_be_opened_are_one_sentence():
    with contextlib.closing(server.bound("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 .* in use"):
            server.bound("127.0.0.1", port)
    with pytest.raises(UsageError, match="this machine has no such address"):
        server.bound("192.0.2.1", 0)
    with pytest.raises(UsageError, match="is no address"):
        server.bound("no such host", 0)


def test_the_address_is_one_for_a_browser():
    with contextlib.closing(server.bound("127.0.0.1", 0)) as listening:
        assert server.address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_rate_counts_one_connection_as_many(tmp_path):
    async def run(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 5)
        await asyncio.sleep(0.5)
        content = await reader.read(65536)
        writer.close()
        return content

    with running(tmp_path, Limits(rate=1.0)) as port:
        content = asyncio.run(run(port))
    assert content.count(b"HTTP/1.1 200") == 2 and content.count(b"HTTP/1.1 429") == 3
