"""Names of devices. Knows no torch."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..errors import CaeError
from ..options import is_device_name


@runtime_checkable
class Device(Protocol):
    """A `torch.device`, whose text is its name."""

    type: str
    index: int | None


def name_of(requested: str | Device | None) -> str:
    """Name of a requested device: "auto" (for None too), "cpu", "cuda", or "cuda:1" with any number.

    Raises CaeError for everything else.
    """
    name = "auto" if requested is None else str(requested) if isinstance(requested, str | Device) else ""
    if name == "cpu:0":
        return "cpu"
    if not is_device_name(name):
        raise CaeError(f"device {requested!r} is unknown; use auto, cpu, cuda or cuda:N")
    return name
