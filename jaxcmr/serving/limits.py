"""What a client may ask for, and how a server says no."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

BODY_READ = "jaxcmr.body_read"  # in the scope of a request: nothing of its body is still to come
SMALL = 64 * 1024  # bytes of a body that is never refused for the others under way
ADDRESSES = 10_000  # whose rates are remembered


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes:
        body_bytes: of one request.
        body_seconds: until a body has arrived, behind its head.
        bodies_bytes: of all bodies that are held at once, beyond 64 kB of each.
        pixels: of a picture, by its header.
        letters: of a text.
        values: commas in a body's JSON.
        containers: brackets that begin a list or an object in it.
        queries: that one search takes the mean of.
        items: that one request embeds.
        items_at_once: of all requests that are worked on; the next is sent away for a second.
        answer_seconds: until an answer is given up.
        rate: requests a second from one address; it may save up those of two seconds.
    """

    body_bytes: int = 10_000_000
    body_seconds: float = 20.0
    bodies_bytes: int = 256_000_000
    pixels: int = 40_000_000
    letters: int = 10_000
    values: int = 300_000
    containers: int = 2000
    queries: int = 16
    items: int = 64
    items_at_once: int = 512
    answer_seconds: float = 30.0
    rate: float = 1000.0


class RefusedError(Exception):
    """A request that is not answered as it was asked.

    Attributes:
        status: of HTTP, 400 to 503.
        retry_after: seconds after which the same request may be answered; 0: never.
    """

    def __init__(self, status: int, sentence: str, retry_after: float = 0.0):
        super().__init__("".join(c if c.isprintable() else "?" for c in sentence))
        self.status, self.retry_after = status, retry_after


class Rate:
    """Counts the requests of each address: `rate` a second on average, bursts of twice as many."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic):
        self._rate, self._most, self._clock = rate, max(2 * rate, 1.0), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests, since when

    def take(self, address: str) -> None:
        """Counts one request.

        Raises:
            RefusedError: 429, there were too many.
        """
        now = self._clock()
        left, since = self._left.pop(address, (self._most, now))
        left = min(left + (now - since) * self._rate, self._most)
        self._left[address] = (max(left - 1, 0.0) if left >= 1 else left, now)
        while len(self._left) > ADDRESSES:  # the one that has been silent for the longest time
            self._left.popitem(last=False)
        if left < 1:
            wait = (1 - left) / self._rate
            raise RefusedError(
                429, "there are too many requests from your address; slow down", wait
            )


class Share:
    """The part of a budget that one request has taken."""

    def __init__(self, budget: "Budget"):
        self._budget, self.taken = budget, 0

    def take(self, amount: int) -> None:
        """Takes more; raises a `RefusedError`, 503, if not so much is left."""
        if self._budget.left < amount:
            raise RefusedError(503, self._budget.sentence, 1.0)
        self._budget.left -= amount
        self.taken += amount


class Budget:
    """An amount that all requests under way share; what a request took comes back at its end."""

    def __init__(self, most: int, sentence: str):
        self.left, self.sentence = most, sentence

    @contextmanager
    def share(self, amount: int = 0) -> Iterator[Share]:
        """Takes an amount for as long as the context lasts; raises a `RefusedError`, 503."""
        share = Share(self)
        try:
            share.take(amount)
            yield share
        finally:
            self.left += share.taken


async def read_body(request: Request, limits: Limits, share: Share) -> bytes:
    """Reads the body of a request; one that is too large is not read to its end.

    Raises:
        RefusedError: 413 too large, 408 too slow, 503 there are too many others.
    """
    too_large = RefusedError(413, f"the body is larger than {limits.body_bytes:,} bytes; send less")
    if int(request.headers.get("content-length", 0)) > limits.body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise too_large
                share.take(max(len(body) - SMALL - share.taken, 0))
    except TimeoutError:
        raise RefusedError(
            408, f"the body did not arrive within {math.ceil(limits.body_seconds)} seconds"
        ) from None
    request.scope[BODY_READ] = True
    return bytes(body)
