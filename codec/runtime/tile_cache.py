"""A cache of decoded tiles."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Protocol, TypeVar


class Sized(Protocol):
    """A tensor or an array."""

    @property
    def nbytes(self) -> int: ...


Part = TypeVar("Part", bound=Sized)


class TileCache:
    """The most recently used parts of tiles, up to `limit` bytes in all. They must not be changed.

    Threads that ask for the same part at once wait for one of them to make it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: OrderedDict[Hashable, Future] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Part]) -> Part:
        """Gets the part of a key, or makes it. An error of `make` reaches all threads that wait, and is not kept."""
        with self._lock:
            cached = self._parts.get(key)
            if cached is not None:
                self._parts.move_to_end(key)
            else:
                mine: Future[Part] = Future()
                self._parts[key] = mine
        if cached is not None:
            return cached.result()
        try:
            part = make()
        except BaseException as error:
            with self._lock:
                self._parts.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(part)
        self._keep(key, mine)
        return part

    def clear(self) -> None:
        """Removes all parts."""
        with self._lock:
            self._parts.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, future: Future) -> None:
        with self._lock:
            if self._parts.get(key) is not future:
                return
            self._bytes += future.result().nbytes
            for oldest in [key for key, part in self._parts.items() if part.done()]:
                if self._bytes <= self._limit:
                    break
                self._bytes -= self._parts.pop(oldest).result().nbytes
