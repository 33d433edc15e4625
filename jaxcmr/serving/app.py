"""The answers of the server: the page, searches, embeddings, pictures of hits, its state."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

from absl import logging
from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.report.search import page
from jaxcmr.serving import requests
from jaxcmr.serving.answers import Answers
from jaxcmr.serving.limits import Budget, Limits, Rate, RefusedError, read_body
from jaxcmr.serving.middleware import Entrance, Json, answer
from jaxcmr.serving.uploads import without_paths

LOOK_SECONDS = 1.0  # between two looks at the file of the index
SMALL_BODY = 64 * 1024  # bytes that are parsed at once, and not in a thread
PICTURE_SECONDS = 3600  # that a browser may keep a picture
# The page has its own policy inside; this one holds what can only be said in a header.
PAGE_POLICY = "frame-ancestors 'none'"
PHRASES = {404: "there is nothing at this address", 405: "this address takes another method"}


class Service:
    """Answers requests; of the routes each is a method."""

    def __init__(self, answers: Answers, limits: Limits):
        self._answers, self._limits = answers, limits
        busy = "the server has too much to do; try again"
        self._items = Budget(limits.items_at_once, busy)
        self._bodies = Budget(limits.bodies_bytes, busy)

    async def page(self, request: Request) -> Response:
        del request
        html = await self._answers.uploads.run(lambda: page.render(self._state()))
        return HTMLResponse(html, headers={"content-security-policy": PAGE_POLICY})

    async def health(self, request: Request) -> Response:
        del request
        return Json(self._state())

    async def search(self, request: Request) -> Response:
        began = time.perf_counter()
        with self._bodies.share() as share:
            content = await self._content(request, share)
            asked = requests.search(content, self._limits)
            with self._items.share(len(asked.items)):
                async with self._in_time():
                    hits = await self._answers.search(asked)
        return Json({"hits": hits, "seconds": round(time.perf_counter() - began, 4)})

    async def embed(self, request: Request) -> Response:
        with self._bodies.share() as share:
            content = await self._content(request, share)
            items = requests.embed(content, self._limits)
            with self._items.share(len(items)):
                async with self._in_time():
                    rows, known = await self._answers.embed(items)
        return Json({"embeddings": rows, "size": self._answers.size, "known": known})

    async def picture(self, request: Request) -> Response:
        version = request.query_params.get("version")
        with self._items.share(1):
            async with self._in_time():
                part = await self._answers.picture(request.path_params["row"], version)
        # Only with its version an address shows the same picture tomorrow.
        kept = f"private, max-age={PICTURE_SECONDS}" if version else "no-cache"
        return Response(part.data, media_type=part.media_type, headers={"cache-control": kept})

    def _state(self) -> dict[str, Any]:
        return {**self._answers.state(), "body_bytes": self._limits.body_bytes}

    async def _content(self, request: Request, share: Any) -> dict[str, Any]:
        """Reads the JSON of a request."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # which no form of another site's page can send
            raise RefusedError(415, "send JSON, with the header content-type: application/json")
        body = await read_body(request, self._limits, share)
        if len(body) <= SMALL_BODY:
            return requests.parse(body, self._limits)
        return await self._answers.uploads.run(lambda: requests.parse(body, self._limits))

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                yield
        except TimeoutError:
            raise RefusedError(503, "the answer takes too long; try again", 5.0) from None


class _Row(IntegerConvertor):
    """The number of a row in an address. Python refuses to read numbers of thousands of digits."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", _Row())


def build(answers: Answers, limits: Limits, hosts: Collection[str] | None = None) -> Entrance:
    """Returns the application.

    Args:
        answers: what is answered.
        limits: for clients.
        hosts: names that may stand in the header `Host`; None: all.
    """
    service = Service(answers, limits)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        look = asyncio.create_task(_look(answers))
        yield
        look.cancel()
        answers.close()

    app = Starlette(
        routes=[
            Route("/", service.page),
            Route("/health", service.health),
            Route("/search", service.search, methods=["POST"]),
            Route("/embed", service.embed, methods=["POST"]),
            Route("/items/{row:row}", service.picture),
        ],
        exception_handlers={
            RefusedError: _say,
            HTTPException: _say_of_address,
            UsageError: _say_mistake,
            ClientDisconnect: _say_nothing,
            Exception: _say_bug,
        },
        lifespan=lifespan,
    )
    return Entrance(app, hosts, Rate(limits.rate))  # around all, answers to its own mistakes too


async def _look(answers: Answers) -> None:
    """Takes a new index into use as soon as it lies in the file."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await answers.look()
        except Exception:  # a bug there is no reason to stop looking
            logging.exception("a new index could not be taken into use")


async def _say(request: Request, refusal: RefusedError) -> Response:
    return answer(request.scope, refusal)


async def _say_of_address(request: Request, error: HTTPException) -> Response:
    sentence = PHRASES.get(error.status_code, str(error.detail))
    told = answer(request.scope, RefusedError(error.status_code, sentence))
    told.headers.update(error.headers or {})
    return told


async def _say_mistake(request: Request, error: UsageError) -> Response:
    return answer(request.scope, RefusedError(422, without_paths(str(error))))


async def _say_nothing(request: Request, error: ClientDisconnect) -> Response:
    del request, error
    return Response(status_code=400)  # which nobody receives


async def _say_bug(request: Request, error: Exception) -> Response:
    logging.error("a request to %s failed", quoted(request.url.path), exc_info=error)
    return answer(request.scope, RefusedError(500, "the server made a mistake; its log tells more"))
