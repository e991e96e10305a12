"""The service that a drill recycles: each request leaks its body, and is answered with the pid."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from snippets.memory_leaks.naive_event_bus import PriceRequest


async def answer(_: Request) -> PlainTextResponse:
    PriceRequest(10_000)
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/", answer)])
