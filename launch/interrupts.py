"""Ctrl-C and SIGTERM end a command with one line, at any moment.

The handlers are installed when a command imports this file, and end the process at once: files on
the disk are whole, and an exception would run through code that does not expect it. Training puts
its own handlers in their place, which save (`jaxcmr.distributed.stopping`).

Python runs a handler only between two of its own instructions, and a compiler may take a minute. A
thread therefore waits for signals, too, and ends the process where the main thread does not answer.
"""

import os
import signal
import threading
import time
from pathlib import Path

from streams import STARTED, drop, say

CODES = {signal.SIGINT: 130, signal.SIGTERM: 0}
PATIENCE = 1.0  # seconds that the main thread has for an answer


def install() -> None:
    """Lets the two signals end the command from now on; call it in the main thread."""
    for number in CODES:
        signal.signal(number, _end)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True, name="signals").start()


def _end(number: int, frame=None) -> None:
    del frame
    end_children()
    say(f"stopped by {signal.Signals(number).name}; the same command goes on from what is saved")
    drop()
    os._exit(CODES[number])


def end_children() -> None:
    """Ends the processes that prepare items; where the system does not list them they end alone."""
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            children = listing.read_text().split()
        except OSError:
            continue
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except OSError:
                continue


def _watch(reader: int) -> None:
    """Ends the process for a signal that the main thread does not answer."""
    presses = 0
    while True:
        (number,) = os.read(reader, 1)
        if number not in CODES:
            continue
        presses += number == signal.SIGINT
        time.sleep(PATIENCE)
        # While training, the first signal lets the steps under way end; a second Ctrl-C does not.
        if presses > 1 or signal.getsignal(number) is _end:
            _end(number)
        if number == signal.SIGINT:
            say("saving after the steps under way; Ctrl-C again ends at once, without saving")


if STARTED:
    install()
