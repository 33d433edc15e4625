"""The rate of an address, budgets that requests share, and bodies that are too large or slow."""

import asyncio

import pytest
from starlette.requests import Request

from jaxcmr.serving.limits import (
    ADDRESSES,
    BODY_READ,
    Budget,
    Limits,
    Rate,
    RefusedError,
    read_body,
)


def test_an_address_may_save_up_two_seconds_and_goes_on_at_its_rate():
    now = [0.0]
    rate = Rate(2.0, clock=lambda: now[0])
    for _ in range(4):  # 2 a second, those of 2 seconds
        rate.take("a")
    with pytest.raises(RefusedError) as caught:
        rate.take("a")
    assert caught.value.status == 429 and caught.value.retry_after == 0.5
    rate.take("b")  # another address
    now[0] = 0.5
    rate.take("a")
    with pytest.raises(RefusedError):
        rate.take("a")


def test_a_rate_below_one_lets_single_requests_through():
    now = [0.0]
    rate = Rate(0.1, clock=lambda: now[0])
    rate.take("a")
    with pytest.raises(RefusedError) as caught:
        rate.take("a")
    assert caught.value.retry_after == pytest.approx(10.0)
    now[0] = 10.0
    rate.take("a")


def test_rates_of_many_addresses_take_bounded_memory():
    rate = Rate(1.0)
    for number in range(ADDRESSES + 100):
        rate.take(str(number))
    assert len(rate._left) == ADDRESSES


def test_a_budget_gets_back_what_a_request_took():
    budget = Budget(10, "full")
    with budget.share(6) as one:
        one.take(4)
        with pytest.raises(RefusedError) as caught, budget.share(1):
            raise AssertionError("there is nothing left")
        assert caught.value.status == 503 and caught.value.retry_after > 0
    assert budget.left == 10


def body_of(chunks, limits=None, length=None, stalls=False, budget=1_000_000) -> bytes:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    left = list(chunks)

    async def receive():
        if not left:
            await asyncio.sleep(3600)
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left) or stalls}

    request = Request({"type": "http", "headers": headers}, receive)

    async def run():
        with Budget(budget, "full").share() as share:
            return await read_body(request, limits or Limits(), share)

    content = asyncio.run(run())
    assert request.scope[BODY_READ]
    return content


def test_a_body_of_several_pieces_is_joined():
    assert body_of([b"ab", b"c"]) == b"abc"


def status_of(*arguments, **named) -> int:
    with pytest.raises(RefusedError) as caught:
        body_of(*arguments, **named)
    return caught.value.status


def test_a_large_body_is_refused_by_its_announcement_or_while_it_comes():
    limits = Limits(body_bytes=10)
    assert status_of([], limits, length=11) == 413  # nothing was read
    # It would go on for ever, but is not read to its end.
    assert status_of([b"x" * 6] * 2, limits, stalls=True) == 413
    assert body_of([b"x" * 10], limits, length=10) == b"x" * 10


def test_a_slow_body_is_given_up():
    assert status_of([b"x"], Limits(body_seconds=0.05), stalls=True) == 408


def test_bodies_share_a_budget_of_which_small_ones_take_nothing():
    assert status_of([b"x" * 70_000], budget=1000) == 503
    assert len(body_of([b"x" * 65_000], budget=0)) == 65_000
