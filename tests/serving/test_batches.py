"""Calls that wait at the same time are joined, and one at fault harms no other."""

import asyncio
import threading
import time

import pytest

from jaxcmr.serving.batches import Batches


@pytest.fixture
def batches():
    made = Batches(most=4, patience=0.05)
    yield made
    made.close()


def squares(sizes: list[int]):
    """Returns a function of many numbers that notes how many it was called with."""

    def function(items):
        sizes.append(len(items))
        return [item**2 for item in items]

    return function


def test_calls_that_wait_are_joined_and_each_gets_its_own_result(batches):
    sizes, gate = [], threading.Event()

    async def run():
        first = asyncio.ensure_future(batches.call("wait", lambda items: [gate.wait(5)], 0))
        await asyncio.sleep(0.05)  # the thread is busy now
        others = [asyncio.ensure_future(batches.call("a", squares(sizes), n)) for n in range(8)]
        await asyncio.sleep(0.05)
        gate.set()
        return await first, await asyncio.gather(*others)

    assert asyncio.run(run()) == (True, [n**2 for n in range(8)])
    assert sizes == [4, 4]


def test_calls_of_different_keys_are_made_apart(batches):
    sizes = []

    async def run():
        calls = [batches.call(n % 2, squares(sizes), n) for n in range(4)]
        return await asyncio.gather(*calls)

    assert asyncio.run(run()) == [0, 1, 4, 9]
    assert max(sizes) <= 2


def test_a_call_alone_does_not_wait_for_company():
    batches = Batches(patience=5.0)
    began = time.monotonic()
    assert asyncio.run(batches.call("a", squares([]), 3)) == 9
    assert time.monotonic() - began < 2.0
    batches.close()


def test_one_bad_item_fails_alone(batches):
    def function(items):
        if 2 in items:
            raise ZeroDivisionError("two")
        return items

    async def run():
        calls = [batches.call("a", function, n) for n in range(4)]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(run())
    assert found[:2] == [0, 1] and found[3] == 3
    assert isinstance(found[2], ZeroDivisionError)


def test_a_call_whose_client_gave_up_is_not_made(batches):
    made, gate = [], threading.Event()

    async def run():
        first = asyncio.ensure_future(batches.call("wait", lambda items: [gate.wait(5)], 0))
        await asyncio.sleep(0.05)
        gone = asyncio.ensure_future(batches.call("a", lambda items: made.append(1), 0))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first
        return await batches.call("b", squares([]), 2)

    assert asyncio.run(run()) == 4 and made == []


def test_what_waits_at_the_end_is_still_answered():
    batches = Batches()

    async def run():
        calls = [asyncio.ensure_future(batches.call("a", squares([]), n)) for n in range(5)]
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, batches.close)
        return await asyncio.gather(*calls)

    assert asyncio.run(run()) == [0, 1, 4, 9, 16]
