"""The viewer as an ASGI application: pages, tiles and their access rules."""

from __future__ import annotations

import asyncio
import html
import itertools
import re
import string
import urllib.parse
from collections.abc import Callable, Sequence
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

from ..advice import weights_advice
from ..errors import CaeError, advised
from ..format import container
from ..format.sources import open_source
from ..runtime.resources import package_folder
from . import levels
from .library import Library, PictureFile, displayable
from .store import OpenPicture, PictureStore

STATIC_FOLDER = package_folder("serve/static")
DECODING_MAX = 2
"""Requests that decode at the same time."""
WAITING_MAX = 64
"""Requests that wait for their turn. Further ones are asked to come again."""
LISTED_MAX = 500
"""Files on the page that lists them."""
RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Result = TypeVar("Result")


class ShortInteger(IntegerConvertor):
    """A number of at most nine digits; Python refuses to parse thousands of them."""

    regex = "[0-9]{1,9}"


register_url_convertor("short", ShortInteger())


class Viewer:
    """Answers requests, one method for each kind."""

    def __init__(self, library: Library, store: PictureStore) -> None:
        self._library, self._store = library, store
        self._turns = asyncio.Semaphore(DECODING_MAX)
        self._waiting = 0

    async def index(self, _: Request) -> Response:
        files = await run_in_threadpool(self._library.scan)
        if len(files) == 1:
            return RedirectResponse(f"pictures/{next(iter(files))}/")
        return HTMLResponse(await run_in_threadpool(_index_page, files))

    async def page(self, request: Request) -> Response:
        file, picture = await self._find(request)
        self._store.request_overview(picture)
        width, height = picture.reader.size
        values = {"name": file.name, "width": width, "height": height, "degrees": picture.degrees}
        values["mirrored"] = str(picture.is_mirrored).lower()
        values["tiles"] = "opaque" if len(picture.reader.mode) in (2, 4) else "picture"
        back = '<a href="../../">All pictures</a>\n' if len(self._library) > 1 else ""
        page = string.Template((STATIC_FOLDER / "viewer.html").read_text(encoding="utf-8"))
        return HTMLResponse(page.substitute({key: html.escape(str(value)) for key, value in values.items()}, back=back))

    async def descriptor(self, request: Request) -> Response:
        _, picture = await self._find(request)
        return Response(levels.descriptor(picture.reader.size), media_type="application/xml")

    async def tile(self, request: Request, *, on_checks: bool = False) -> Response:
        file, picture = await self._find(request)
        size, level = picture.reader.size, request.path_params["level"]
        region = levels.tile_region(size, level, request.path_params["column"], request.path_params["row"])
        if region is None:
            raise HTTPException(404)
        factor = levels.reduction(size, level)
        headers = {"ETag": f'"{picture.version}"', "Cache-Control": "no-cache"}
        if _matches(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        png = await self._in_turn(request, lambda: self._store.tile(file.path, picture, region, factor, on_checks=on_checks))
        if png is None:
            raise HTTPException(503, "the overview is not ready yet", {"Retry-After": "1"})
        return Response(png, media_type="image/png", headers=headers)

    async def opaque_tile(self, request: Request) -> Response:
        """Answers with a tile on a checkerboard: pages draw tiles of several levels over each other."""
        return await self.tile(request, on_checks=True)

    async def overview(self, request: Request) -> Response:
        _, picture = await self._find(request)
        png = await self._in_turn(request, lambda: self._store.overview(picture))
        return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def progress(self, request: Request) -> Response:
        _, picture = await self._find(request)
        self._store.request_overview(picture)
        overview = picture.overview
        progress = {"done": overview.done, "changes": overview.changes, "factor": overview.small_factor}
        return JSONResponse(progress, headers={"Cache-Control": "no-store"})

    async def thumbnail(self, request: Request) -> Response:
        file, _ = await self._find(request)
        png = await self._in_turn(request, lambda: self._store.thumbnail(file.path))
        return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def report_picture_error(self, request: Request, error: CaeError) -> Response:
        """Answers with the error of a picture."""
        file = self._library.find(request.path_params.get("key", ""))
        return PlainTextResponse(_message_without_path(error, file) if file else "cannot be read", 500)

    async def _find(self, request: Request) -> tuple[PictureFile, OpenPicture]:
        """Returns the file and the open picture of a request."""
        file = await run_in_threadpool(self._library.find, request.path_params["key"])
        if file is None:
            raise HTTPException(404)
        return file, await run_in_threadpool(self._store.open, file.path)

    async def _in_turn(self, request: Request, work: Callable[[], Result]) -> Result:
        """Returns the result of work that waits for its turn, unless the client has gone by then."""
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


def create_application(library: Library, store: PictureStore, hosts: Sequence[str] | None) -> Starlette:
    """Creates the application.

    Args:
        library: the files to show.
        store: opens them.
        hosts: host names to answer to, None for all. With a list of this machine's own names, no foreign page whose name
            leads here (DNS rebinding) can read the pictures.
    """
    viewer = Viewer(library, store)
    picture = "/pictures/{key}"
    return Starlette(
        routes=[
            Route("/", viewer.index),
            Route(f"{picture}/", viewer.page),
            Route(f"{picture}/picture.dzi", viewer.descriptor),
            Route(f"{picture}/picture_files/{{level:short}}/{{column:short}}_{{row:short}}.png", viewer.tile),
            Route(f"{picture}/opaque.dzi", viewer.descriptor),
            Route(f"{picture}/opaque_files/{{level:short}}/{{column:short}}_{{row:short}}.png", viewer.opaque_tile),
            Route(f"{picture}/overview.png", viewer.overview),
            Route(f"{picture}/progress.json", viewer.progress),
            Route(f"{picture}/thumbnail.png", viewer.thumbnail),
            Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
        ],
        middleware=[Middleware(_Guard, hosts=hosts)],
        exception_handlers={CaeError: viewer.report_picture_error, HTTPException: _report_http_error},
    )


class _Guard:
    """Refuses other host names, and adds the headers that all responses have."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = ((name.lower().encode(), value.encode()) for name, value in RESPONSE_HEADERS.items())
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            host = urllib.parse.urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname
        except ValueError:
            host = None
        is_allowed = self._hosts is None or host in self._hosts
        await (self._app if is_allowed else PlainTextResponse("unknown host", 421))(scope, receive, send_with_headers)


async def _report_http_error(_: Request, error: Exception) -> Response:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _matches(request: Request, tag: str) -> bool:
    """Returns True if a request's If-None-Match is `*` or lists a tag, weak or strong."""
    listed = ",".join(request.headers.getlist("If-None-Match"))
    return listed.strip() == "*" or tag in re.findall('"[^"]*"', listed)


def _index_page(files: dict[str, PictureFile]) -> str:
    entries = "\n".join(_entry(key, file) for key, file in itertools.islice(files.items(), LISTED_MAX))
    count = f"{len(files)} pictures" if len(files) <= LISTED_MAX else f"The first {LISTED_MAX} of {len(files)} pictures"
    page = string.Template((STATIC_FOLDER / "index.html").read_text(encoding="utf-8"))
    return page.substitute(
        count=count if files else "There are no .cae files here yet; cae-encode makes them.",
        entries=entries,
    )


def _entry(key: str, file: PictureFile) -> str:
    """Returns an item of the list of files; for a file that cannot be read, with the error."""
    name = html.escape(file.name)
    try:
        with open_source(file.path) as source:
            header, size = container.read(source).header, source.size
    except CaeError as error:
        return f'<li class="wrong"><h2>{name}</h2><p>{html.escape(_message_without_path(error, file))}</p></li>'
    sides = f"{header.width:,} \u00d7 {header.height:,}".replace(",", "\u202f")
    megapixels = header.width * header.height / 1e6
    return (
        f'<li><a href="pictures/{key}/"><img src="pictures/{key}/thumbnail.png" alt="" loading="lazy"><h2>{name}</h2></a>'
        f"<p>{sides}, {megapixels:.1f} megapixels, {_format_bytes(size)}</p></li>"
    )


def _format_bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _message_without_path(error: CaeError, file: PictureFile) -> str:
    """Returns an error's message, with advice in terms of `cae-serve`, without the folders of the file."""
    return displayable(str(advised(error, weights_advice("--weights"))).replace(str(file.path), file.name))
