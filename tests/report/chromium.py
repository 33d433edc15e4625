"""A headless Chromium that does what a person would: opens a page, clicks, types, downloads.

It speaks the DevTools protocol over a pair of pipes, JSON with a zero byte behind each message. So
the tests need the browser alone: no driver of the same version, no port and no further package.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from file 3 and answers into file 4, which may have another use before.
START = (
    "import fcntl, os, sys; "
    "a, b = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]); "
    "os.dup2(a, 3); os.dup2(b, 4); os.closerange(5, 64); os.execvp(sys.argv[3], sys.argv[3:])"
)
CODES = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}
CODES |= {"ArrowUp": (38, ""), "ArrowDown": (40, "")}


def executable() -> str:
    """Returns the browser; skips the test where there is none."""
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)})")
    return found[0]


class Browser:
    """A browser with one tab; `errors` holds what it complained of."""

    def __init__(self, folder: Path):
        self.folder, self.errors, self.requests = folder, [], []
        self._number, self._session, self._rest = 0, None, b""
        self._loads = self._downloads = 0
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [executable(), *FLAGS, f"--user-data-dir={folder / 'profile'}"]
        start = [sys.executable, "-c", START, str(theirs_in), str(theirs_out), *command]
        files = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(start, pass_fds=(theirs_in, theirs_out), **files)
        os.close(theirs_in), os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        behavior = {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", **behavior)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._in), os.close(self._out)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        sent = json.dumps(message).encode() + b"\0"
        while sent:
            sent = sent[os.write(self._out, sent) :]
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """Opens a file and waits until it is loaded."""
        self.size(width, height)
        self.visit(path.as_uri())

    def visit(self, url: str) -> None:
        """Goes to an address and waits until it is loaded."""
        before = self._loads
        self.call("Page.navigate", url=url)
        while self._loads == before:
            self._read()

    def size(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=width < 600, **size)

    def js(self, expression: str) -> Any:
        """Returns the value of an expression."""
        asked = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self.call("Runtime.evaluate", expression=expression, **asked)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 30.0) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < end, f"{expression} was not true after {seconds} s"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector({json.dumps(selector)}).textContent")

    def press(self, *keys: str) -> None:
        """Presses keys one after the other."""
        for key in keys:
            code, text = CODES.get(key, (ord(key.upper()[0]), key))
            event = {"key": key, "windowsVirtualKeyCode": code}
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            self.call("Input.dispatchKeyEvent", **down, **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Clicks with the mouse in the middle of an element, which has to be in sight there."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **event)

    def tap(self, selector: str) -> None:
        """Taps with a finger in the middle of an element."""
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        x, y = self._middle(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)

    def choose_file(self, selector: str, path: Path) -> None:
        """Gives a file to an input."""
        expression = f"document.querySelector({json.dumps(selector)})"
        element = self.call("Runtime.evaluate", expression=expression)["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=element)

    def downloaded(self, selector: str, name: str) -> bytes:
        """Clicks on an element and returns the file of this name that it lets be downloaded."""
        before = self._downloads
        self.click(selector)
        while self._downloads == before:
            self._read()
        path = self.folder / name
        content = path.read_bytes()
        path.unlink()
        return content

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes what is seen, or the whole page, as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _middle(self, selector: str) -> tuple[float, float]:
        return self.js(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "center", behavior: "instant" }});
              const box = element.getBoundingClientRect();
              const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
              const top = document.elementFromPoint(x, y);
              if (!element.contains(top)) throw new Error("covered by " + top?.outerHTML);
              return [x, y];
            }})()"""
        )

    def _read(self) -> dict[str, Any]:
        """Reads one message, and notes what it tells."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], 60)
            received = os.read(self._in, 1 << 20) if ready else b""
            if not received:
                raise RuntimeError("the browser does not answer")
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(told["exceptionDetails"])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning"):
                self.errors.append(told["args"])
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.errors.append(told["entry"])
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Page.loadEventFired":
                self._loads += 1
            case "Browser.downloadProgress" if told["state"] == "completed":
                self._downloads += 1
        return message
