"""The command `cae-serve`."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from pathlib import Path

from ..errors import CaeError
from . import arguments, common

PORT = 8000
CACHE_MB = 256


def main(given: list[str] | None = None) -> None:
    """Entry point of `cae-serve`."""
    parser = arguments.parser("cae-serve", "Show .cae files of any size in the browser, with zoom and pan; Ctrl-C ends it.")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="FILE|FOLDER", help=".cae files, or folders of such")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, which other machines cannot reach)"
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on, 0 for any that is free (default: {PORT})")
    parser.add_argument(
        "--cache", type=int, default=CACHE_MB, metavar="MB", help=f"memory for finished tiles (default: {CACHE_MB})"
    )
    parser.add_argument("--json", action="store_true", help="print address and number of pictures as a line of JSON")
    arguments.add_running(parser)
    parsed = parser.parse_args(given)
    with common.reporting(parser.prog):
        try:
            import uvicorn

            from ..serve.application import application
        except ModuleNotFoundError as error:
            raise CaeError(f"the module {error.name} is missing; install the extra: pip install 'cae-codec[serve]'") from None
        from .. import Codec
        from ..format.limits import PIXELS_MAX
        from ..serve.library import Library
        from ..serve.store import Store

        if parsed.cache < 0:
            raise CaeError(f"--cache {parsed.cache} is not at least 0")
        library = Library(parsed.inputs)
        with _listening(parsed.host, parsed.port) as listening:
            limit = PIXELS_MAX if parsed.max_pixels is None else parsed.max_pixels
            codec = Codec(weights=parsed.weights, device=parsed.device, threads=parsed.threads, pixels_max=limit)
            app = application(library, Store(codec, parsed.cache * 10**6), _names(parsed.host))
            address = listening.getsockname()
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            files = library.files()
            url = f"http://{host}:{address[1]}/"
            told = {"url": url, "pictures": len(files)}
            line = json.dumps(told) if parsed.json else f"{len(files)} picture{'s' if len(files) != 1 else ''} at {url}"
            print(line, flush=True)
            # few connections and small requests, whoever asks
            config = uvicorn.Config(
                app,
                log_level="error",
                lifespan="off",
                limit_concurrency=128,
                h11_max_incomplete_event_size=2**14,
                timeout_graceful_shutdown=2,
                server_header=False,
                http="h11",
                ws="none",
                proxy_headers=False,
            )
            try:
                uvicorn.Server(config).run(sockets=[listening])
            except (KeyboardInterrupt, SystemExit) as ended:
                # python would wait for threads that still decode, of which nobody wants anything any more
                os._exit(130 if isinstance(ended, KeyboardInterrupt) else int(ended.code or 0))


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; CaeError where the address is taken or is none."""
    if not 0 <= port < 2**16:
        raise CaeError(f"port {port} is not within 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaeError(f"cannot listen on {host} port {port}: {reason}; choose another (--host, --port)") from None
    return made


def _names(host: str) -> list[str] | None:
    """The host names to answer to: this machine's own, where no other can ask; None is all."""
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    return ["127.0.0.1", "localhost", "::1", host] if own else None
