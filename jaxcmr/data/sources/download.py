"""Downloads files: resumes, verifies, and gives up quickly where there is no network."""

import contextlib
import json
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from absl import logging

from jaxcmr.data.cache import sha256
from jaxcmr.errors import UsageError
from jaxcmr.storage import locks

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
BLOCK = 1 << 20


class UnreachableError(Exception):
    """There is no network, or no such server; the caller may go on without."""


def fetch(
    url: str, path: Path, *, expected_sha256: str = "", open_url: Callable = urllib.request.urlopen
) -> str:
    """Downloads `url` to `path` and returns the file's SHA-256.

    The file grows as `<path>.part`, which the next call continues if the server still has the same
    file (`If-Range`); it gets its name once it is complete and, where a checksum is known, right.
    While another process downloads it, this one waits, and takes what is there then.

    Raises:
        UnreachableError: no connection within 5 s, or `$JAXCMR_OFFLINE` is set.
        UsageError: the server refuses, the transfer breaks off, the checksum differs, or the
            file cannot be written.
    """
    if os.environ.get("JAXCMR_OFFLINE"):
        raise UnreachableError("downloads are switched off by $JAXCMR_OFFLINE")
    _check_connection(url)
    there = path.exists()
    with locks.in_turn(path.with_name(path.name + ".lock"), f"downloading {path.name}"):
        if path.exists() and not there:
            return sha256(path)
        return _download(url, path, expected_sha256, open_url)


def _download(url: str, path: Path, expected_sha256: str, open_url: Callable) -> str:
    part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    try:
        _transfer(url, part, note, open_url)
    except urllib.error.HTTPError as error:
        raise UsageError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, EOFError) as error:
        raise UsageError(
            f"the download of {url} broke off ({error}); the same command goes on with it"
        ) from None
    digest = sha256(part)
    if expected_sha256 and digest != expected_sha256:
        part.unlink()
        note.unlink(missing_ok=True)
        wrong = f"{url} has the checksum {digest[:12]}..., not {expected_sha256[:12]}..."
        raise UsageError(f"{wrong}; it was deleted, try again")
    os.replace(part, path)
    note.unlink(missing_ok=True)
    return digest


def _check_connection(url: str) -> None:
    """Raises `UnreachableError` unless the server (or the proxy) accepts a connection in time.

    In a thread, because looking up a name has no time-out of its own.
    """
    parts = urllib.parse.urlsplit(url)
    if not urllib.request.proxy_bypass(parts.hostname or ""):
        proxy = urllib.request.getproxies().get(parts.scheme)
        parts = urllib.parse.urlsplit(proxy) if proxy else parts
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    failure: list[str] = ["no answer"]

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=CONNECT_SECONDS).close()
            failure.clear()
        except OSError as error:
            failure[:] = [str(error)]

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if failure:
        raise UnreachableError(f"no connection to {address[0]}: {failure[0]}")


def _transfer(url: str, part: Path, note: Path, open_url: Callable) -> None:
    """Fills `part`, from its end if `note` names the version that the server still has."""
    request = urllib.request.Request(url)
    have = part.stat().st_size if part.exists() else 0
    version = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        version = json.loads(note.read_text())["version"]
    if have and version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    try:
        response = open_url(request, timeout=READ_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        have = 0  # the part is longer than the file: start again
        response = open_url(urllib.request.Request(url), timeout=READ_SECONDS)
    with response:
        resumed = response.status == 206
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if re.fullmatch("[0-9]{1,18}", length or "") else None
        note.write_text(json.dumps({"version": _version(response.headers)}))
        with open(part, "ab" if resumed else "wb") as file:
            last = time.monotonic()
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                if time.monotonic() - last > 5:
                    last = time.monotonic()
                    share = f" of {total / 1e6:.0f}" if total else ""
                    logging.info("downloading %s: %.0f%s MB", url, have / 1e6, share)
    if total is not None and have != total:
        raise EOFError(f"{have} of {total} bytes came")


def _version(headers) -> str | None:
    """What identifies the file for `If-Range`: a strong ETag, or the date."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
