"""Bytes of a file in any object that has a buffer."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..errors import CaeError

if TYPE_CHECKING:
    from typing_extensions import Buffer
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    Buffer = Any


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def drop_traceback(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Removes the traceback of a function's CaeError.

    Its frames would keep views of the caller's buffer. A mapped file could not be closed then, and would raise BufferError.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except CaeError as error:
            error.__cause__ = error.__context__ = None
            raise error.with_traceback(None) from None

    return run


def as_bytes(data: Buffer) -> memoryview:
    """Views anything that has a buffer, such as bytes, a mapped file or a NumPy array, as bytes (n,); copies only with strides.

    Raises CaeError for objects without bytes.

    >>> import array
    >>> bytes(as_bytes(array.array("B", [137, 67, 65, 69])))
    b'\\x89CAE'
    """
    try:
        view = memoryview(data)
    except TypeError:
        advice = "read the file first, and pass its bytes"
        if not (isinstance(data, str | PathLike) or hasattr(data, "read")):
            advice = "pass the bytes of a .cae file"
        raise CaeError(f"a {type(data).__name__} is no file's bytes; {advice}") from None
    except ValueError as error:
        raise CaeError(f"the {type(data).__name__} holds no bytes ({error}); open or read the file again") from None
    if "O" in view.format:
        raise CaeError(f"a {type(data).__name__} of objects is no file's bytes; pass the bytes of a .cae file")
    try:
        return view.cast("B")
    # strides, or numbers in the other byte order
    except TypeError:
        return memoryview(view.tobytes())
