"""The networks of a codec, and the one choice between torch's and NumPy's."""

from __future__ import annotations

import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..advice import DEVICE_ADVICE
from ..errors import CaeError, advised, torch_is_missing
from ..format.header import NO_MODEL, Header
from ..networks import registry
from ..networks.decoding import DecoderNetworks
from ..networks.weights import Files
from ..numpy_networks.model import load as load_by_numpy
from ..runtime.forking import fork_safe
from ..runtime.warning import warn
from .arguments import CheckedArguments

if TYPE_CHECKING:
    import torch

    from ..networks.model import Model

NUMPY_PIXELS = 2**20
"""Pixels that a codec decodes by NumPy before it imports torch, which takes about as long."""


class NetworkLoader:
    """Loads the networks of a codec's weights files when they are needed. Safe to use from several threads at once.

    torch encodes, and decodes the most pixels a second. NumPy decodes where torch is not installed. Where it is, but nobody
    has imported it yet, NumPy decodes the first pictures, as long as that takes less time than the import. From the import on
    all pictures are torch's; one that is open stays with the library that it began with.

    Raises CaeError for weights or a device that cannot be used.
    """

    def __init__(self, arguments: CheckedArguments) -> None:
        self._arguments, self._files = arguments, arguments.files
        self._lock = threading.RLock()
        self._by_torch: dict[Files, Model] = {}
        self._by_numpy: dict[Files, DecoderNetworks] = {}
        self._chosen_device: torch.device | None = None
        self._begun = 0
        self._has_torch = find_spec("torch") is not None
        # asked for what NumPy does not have
        self._needs_torch = arguments.bf16 is True or str(arguments.device).startswith("cuda")
        self.id = self._own(0).id

    @property
    def path(self) -> str:
        """The model's weights file."""
        return str(self._files.model)

    def for_encoding(self) -> Model:
        """The model by torch; CaeError where torch is not installed."""
        return self._load_by_torch(self._files, "encoding")

    def for_decoding(self, header: Header) -> DecoderNetworks:
        """Networks for a file; CaeError where its weights are not installed."""
        pixels = header.width * header.height
        if header.model_id == NO_MODEL:
            return self._own(0)
        if header.model_id == self.id:
            return self._own(pixels)
        path = registry.find(header.model_id, tried=(self._files.model, self.id))
        if self._files.decoder is not None:
            raise CaeError(f"{self._files.decoder}: decodes for the model {self.id.hex()}; the file is of {path.stem}")
        networks = self._load(Files(path), pixels)
        if networks.id != header.model_id:
            raise CaeError(
                f"{path}: says that its id is {header.model_id.hex()}, but has {networks.id.hex()}; install it again"
            )
        return networks

    def _own(self, pixels: int) -> DecoderNetworks:
        return self._load(self._files, pixels)

    def _load(self, files: Files, pixels: int) -> DecoderNetworks:
        """Networks by the library that decodes so many pixels sooner."""
        with self._lock:
            if self._torch_is_due(pixels):
                self._by_numpy.clear()
                return self._load_by_torch(files, "this device or precision")
            if files not in self._by_numpy:
                self._by_numpy[files] = load_by_numpy(files)
            return self._by_numpy[files]

    def _torch_is_due(self, pixels: int) -> bool:
        """True if torch decodes a picture; counts the pixels that NumPy does."""
        if self._needs_torch or not self._has_torch:
            return self._needs_torch
        if sys.modules.get("torch") is not None:
            return True
        self._begun += pixels
        if self._begun <= NUMPY_PIXELS:
            return False
        try:
            _import_torch()
        except CaeError as error:
            self._has_torch = False
            warn(f"{error}; going on by NumPy, which decodes more slowly")
        return self._has_torch

    def _load_by_torch(self, files: Files, purpose: str) -> Model:
        if not self._has_torch:
            raise torch_is_missing(purpose)
        with self._lock:
            if files not in self._by_torch:
                _import_torch()
                self._by_torch[files] = self._load_on_device(files)
            return self._by_torch[files]

    @fork_safe
    def _load_on_device(self, files: Files) -> Model:
        from ..networks import model as models
        from ..runtime import devices

        self._chosen_device = device = self._chosen_device or devices.choose(self._arguments.device)
        if device.type == "cpu":
            return models.load(files, device)
        try:
            return models.load(files, device)
        except CaeError as error:
            if self._arguments.device != "auto":
                raise advised(error, DEVICE_ADVICE) from None
            reason = str(error)
        except RuntimeError as error:
            if not devices.out_of_memory(error):
                raise
            reason = "out of GPU memory"
        model = models.load(files, "cpu")
        warn(f"{reason}: going on on the CPU")
        return model


@fork_safe
def _import_torch() -> None:
    """Imports torch; CaeError where that fails."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        reason, *_ = str(error).partition("\n")
        raise CaeError(f"torch cannot be imported ({reason}); install it again") from None
