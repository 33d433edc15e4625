"""Joins calls that wait at the same time into one; a single thread makes them all."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

MOST = 64  # calls that are joined
PATIENCE = 0.003  # seconds that a call with company waits for more of it


class _Call(NamedTuple):
    key: Hashable
    function: Callable[[Sequence], Sequence]
    item: Any
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future


class Batches:
    """Makes calls of functions of many items, in one thread, which owns the device.

    A call that waits alone is made at once. Where several wait, the first gives further ones
    `patience` seconds to join; those that come while the thread works have waited long enough.

    Args:
        most: items that a function is called with.
        patience: seconds.
    """

    def __init__(self, most: int = MOST, patience: float = PATIENCE):
        self._most, self._patience = most, patience
        self._waiting: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="device")
        self._thread.start()

    async def call(self, key: Hashable, function: Callable[[Sequence], Sequence], item: Any) -> Any:
        """Returns the result of `function` for one item.

        Args:
            key: calls with the same key are joined, so that it names all that the function depends
                on beside its items.
            function: takes items `[N]` and returns their results `[N]`.
            item: one of them.

        Raises:
            Exception: what the function raises for this item.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._waiting.put(_Call(key, function, item, loop, answer))
        return await answer

    def close(self) -> None:
        """Ends the thread after the calls that wait already."""
        self._waiting.put(None)
        self._thread.join(10.0)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            groups: dict[Hashable, list[_Call]] = {}
            for call in (first, *self._company()):
                groups.setdefault(call.key, []).append(call)
            for calls in groups.values():
                self._make(calls)

    def _company(self) -> list[_Call]:
        """Returns the calls that wait beside the first."""
        found: list[_Call] = []
        end = time.monotonic() + self._patience
        while len(found) < self._most - 1:
            wait = max(end - time.monotonic(), 0.0) if found else 0.0
            try:
                call = self._waiting.get(wait > 0, wait) if wait else self._waiting.get_nowait()
            except queue.Empty:
                break
            if call is None:  # the end comes after these calls
                self._waiting.put(None)
                break
            found.append(call)
        return found

    def _make(self, calls: list[_Call]) -> None:
        """Makes calls of one key together; where that fails, each alone: one of them is at fault.

        Calls whose client has given up are left out.
        """
        calls = [call for call in calls if not call.answer.cancelled()]
        if not calls:
            return
        try:
            results = calls[0].function([call.item for call in calls])
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    self._make([call])
            else:
                _answer(calls, [error], failed=True)
            return
        _answer(calls, results)


def _answer(calls: list[_Call], results: Sequence, failed: bool = False) -> None:
    """Hands the results to the loop that waits for them."""

    def hand_over() -> None:
        for call, result in zip(calls, results):
            if call.answer.done():  # given up
                continue
            if failed:
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)

    try:
        calls[0].loop.call_soon_threadsafe(hand_over)
    except RuntimeError:  # the loop has ended: nobody waits any more
        return
