"""The viewer's pages and tiles as an ASGI application."""

from __future__ import annotations

import asyncio
import html
import itertools
import string
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import CaeError
from ..format import container
from ..format.sources import open_source
from . import levels
from .library import Found, Library
from .store import Shown, Store

STATIC = Path(__file__).with_name("static")
AT_ONCE = 2
"""Requests that decode at the same time."""
WAITING_MAX = 64
"""Requests that wait for their turn; more are told to come again."""
LISTED_MAX = 500
"""Files on the page of all."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Result = TypeVar("Result")


class ShortInteger(IntegerConvertor):
    """A number of at most nine digits: Python refuses to read thousands of them."""

    regex = "[0-9]{1,9}"


register_url_convertor("short", ShortInteger())


class Viewer:
    """The answers to requests."""

    def __init__(self, library: Library, store: Store) -> None:
        self._library, self._store = library, store
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def index(self, _: Request) -> Response:
        files = await run_in_threadpool(self._library.files)
        if len(files) == 1:
            return RedirectResponse(f"pictures/{next(iter(files))}/")
        return HTMLResponse(await run_in_threadpool(_index, files))

    async def page(self, request: Request) -> Response:
        name, shown, _ = await self._shown(request)
        self._store.want_overview(shown)
        width, height = shown.picture.size
        facts = {"name": name, "width": width, "height": height, "degrees": shown.degrees}
        back = '<a href="../../">All pictures</a>\n' if len(self._library) > 1 else ""
        page = string.Template((STATIC / "viewer.html").read_text(encoding="utf-8"))
        return HTMLResponse(page.substitute({key: html.escape(str(fact)) for key, fact in facts.items()}, back=back))

    async def description(self, request: Request) -> Response:
        _, shown, _ = await self._shown(request)
        return Response(levels.description(shown.picture.size), media_type="application/xml")

    async def tile(self, request: Request) -> Response:
        _, shown, path = await self._shown(request)
        size, level = shown.picture.size, request.path_params["level"]
        region = levels.region_of(size, level, request.path_params["column"], request.path_params["row"])
        if region is None:
            raise HTTPException(404)
        factor = levels.factor_of(size, level)
        tag = f'"{shown.version}"'
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
        found = await self._in_turn(request, lambda: self._store.tile(path, shown, region, factor))
        if found is None:
            raise HTTPException(503, "this waits for the overview", {"Retry-After": "1"})
        return Response(found, media_type="image/png", headers={"ETag": tag, "Cache-Control": "no-cache"})

    async def overview(self, request: Request) -> Response:
        _, shown, _ = await self._shown(request)
        found = await self._in_turn(request, lambda: self._store.overview(shown))
        return Response(found, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def progress(self, request: Request) -> Response:
        _, shown, _ = await self._shown(request)
        self._store.want_overview(shown)
        overview = shown.overview
        told = {"done": overview.done, "changes": overview.changes, "factor": overview.small_factor}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def thumbnail(self, request: Request) -> Response:
        _, _, path = await self._shown(request)
        found = await self._in_turn(request, lambda: self._store.thumbnail(path))
        return Response(found, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def _shown(self, request: Request) -> tuple[str, Shown, Path]:
        """Name, picture and path that a request means."""
        found = await run_in_threadpool(self._library.find, request.path_params["key"])
        if found is None:
            raise HTTPException(404)
        return found.name, await run_in_threadpool(self._store.open, found.path), found.path

    async def told(self, request: Request, error: Exception) -> Response:
        """What is wrong with a picture."""
        found = self._library.find(request.path_params.get("key", ""))
        return PlainTextResponse(_what(error, found) if found else "cannot be read", 500)

    async def _in_turn(self, request: Request, work: Callable[[], Result]) -> Result:
        """What some work gives, which waits for its turn, unless nobody waits for it any more."""
        if self._waiting >= WAITING_MAX:
            raise HTTPException(503, "too many requests wait", {"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._turns:
                if await request.is_disconnected():
                    raise HTTPException(499)
                return await run_in_threadpool(work)
        finally:
            self._waiting -= 1


def application(library: Library, store: Store, hosts: Sequence[str] | None) -> Starlette:
    """The application, which answers to certain host names alone, or to all.

    So no page elsewhere whose own name leads here can read the pictures.
    """
    viewer = Viewer(library, store)
    picture = "/pictures/{key}"
    return Starlette(
        routes=[
            Route("/", viewer.index),
            Route(f"{picture}/", viewer.page),
            Route(f"{picture}/picture.dzi", viewer.description),
            Route(f"{picture}/picture_files/{{level:short}}/{{column:short}}_{{row:short}}.png", viewer.tile),
            Route(f"{picture}/overview.png", viewer.overview),
            Route(f"{picture}/progress.json", viewer.progress),
            Route(f"{picture}/thumbnail.png", viewer.thumbnail),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(_Guard, hosts=hosts)],
        exception_handlers={CaeError: viewer.told, HTTPException: _refused},
    )


class _Guard:
    """Answers to the right host names alone, and adds the headers that all answers have."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.lower().encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        try:
            host = urllib.parse.urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname
        except ValueError:
            host = None
        known = self._hosts is None or host in self._hosts
        await (self._app if known else PlainTextResponse("unknown host", 421))(scope, receive, sending)


async def _refused(_: Request, error: Exception) -> Response:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _index(files: dict[str, Found]) -> str:
    entries = "\n".join(_entry(key, found) for key, found in itertools.islice(files.items(), LISTED_MAX))
    count = f"{len(files)} pictures" if len(files) <= LISTED_MAX else f"The first {LISTED_MAX} of {len(files)} pictures"
    page = string.Template((STATIC / "index.html").read_text(encoding="utf-8"))
    return page.substitute(count=count if files else "There are no pictures here yet.", entries=entries)


def _bytes(size: int) -> str:
    """A file's size in the unit that suits it."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _what(error: Exception, found: Found) -> str:
    """An error's message, which does not say where the files lie."""
    return str(error).replace(str(found.path), found.name)


def _entry(key: str, found: Found) -> str:
    """An item of the list of files, with what is wrong where a file cannot be read."""
    name = html.escape(found.name)
    try:
        with open_source(found.path) as source:
            header, size = container.read(source).header, source.size
    except CaeError as error:
        return f'<li class="wrong"><h2>{name}</h2><p>{html.escape(_what(error, found))}</p></li>'
    sides = f"{header.width:,} \u00d7 {header.height:,}".replace(",", "\u202f")
    megapixels = header.width * header.height / 1e6
    return (
        f'<li><a href="pictures/{key}/"><img src="pictures/{key}/thumbnail.png" alt="" loading="lazy"><h2>{name}</h2></a>'
        f"<p>{sides}, {megapixels:.1f} megapixels, {_bytes(size)}</p></li>"
    )
