"""The command `cae-serve`."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import socket
from pathlib import Path

from ..cli.arguments import add_resource_arguments, create_parser
from ..cli.messages import one_line, print_message, report_errors
from ..cli.values import parse_integer
from ..errors import CaeError, extra_advice

DEFAULT_PORT = 8000
DEFAULT_CACHE_MB = 256


def main(words: list[str] | None = None) -> None:
    """Runs `cae-serve` with the words of a command line (None: the process's own)."""
    parser = create_parser("cae-serve", "Show .cae files of any size in the browser, with zoom and pan; Ctrl-C ends it.")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="FILE|FOLDER", help=".cae files, or folders of them")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, which other machines cannot reach)"
    )
    parser.add_argument(
        "--port",
        type=parse_integer(0, 2**16 - 1),
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 for any free one (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--cache",
        type=parse_integer(0),
        default=DEFAULT_CACHE_MB,
        metavar="MB",
        help=f"memory for finished tiles (default: {DEFAULT_CACHE_MB})",
    )
    parser.add_argument("--json", action="store_true", help="print address and number of pictures as a line of JSON")
    add_resource_arguments(parser)
    arguments = parser.parse_args(words)
    with report_errors(parser.prog):
        _serve(arguments)


def _serve(arguments: argparse.Namespace) -> None:
    try:
        import uvicorn

        from ..serve.application import create_application
    except ModuleNotFoundError as error:
        raise CaeError(f"the module {error.name} is missing; {extra_advice('serve')}") from None
    from .. import Codec
    from ..format.limits import PIXELS_MAX
    from ..serve.library import Library
    from ..serve.store import PictureStore

    library = Library(arguments.inputs)
    with _listen(arguments.host, arguments.port) as listener:
        codec = Codec(
            weights=arguments.weights,
            device=arguments.device,
            threads=arguments.threads,
            pixels_max=PIXELS_MAX if arguments.max_pixels is None else arguments.max_pixels,
        )
        store = PictureStore(codec, arguments.cache * 10**6)
        application = create_application(library, store, _allowed_hosts(arguments.host))
        address = listener.getsockname()
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        url = f"http://{host}:{address[1]}/"
        count = len(library.scan())
        line = f"{count} picture{'s' if count != 1 else ''} at {url}"
        print(json.dumps({"url": url, "pictures": count}) if arguments.json else line, flush=True)
        if not count:
            names = ", ".join(map(str, arguments.inputs))
            print_message(one_line(f"cae-serve: no .cae files in {names} yet; make some with cae-encode, and reload the page"))
        # few connections and small requests, whoever asks
        config = uvicorn.Config(
            application,
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
            uvicorn.Server(config).run(sockets=[listener])
        except (KeyboardInterrupt, SystemExit) as end:
            # Python would wait for threads that still decode, although nobody needs their tiles
            os._exit(130 if isinstance(end, KeyboardInterrupt) else int(end.code or 0))


def _listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket; raises CaeError where the address is taken or invalid."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaeError(f"cannot listen on {host} port {port}: {reason}; choose another (--host, --port)") from None
    return listener


def _allowed_hosts(host: str) -> list[str] | None:
    """Returns the host names to answer to: this machine's own where no other can ask; None for all."""
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    return ["127.0.0.1", "localhost", "::1", host] if is_local else None
