"""The registry of weights files: models by the id that every `.cae` file carries, and further encoders and decoders."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import CaeError, MissingEncoderError, MissingWeightsError
from ..options import TUNES
from ..runtime.resources import package_folder
from ..tensor_files import open_regular
from .weights import DECODER, ENCODER, MODEL, SIZE_MAX, SIZES, Files, Weights

WEIGHTS_FOLDER = package_folder("weights")
SUFFIX = ".safetensors"


def default_path() -> Path:
    """The weights that encoding uses unless told otherwise."""
    return WEIGHTS_FOLDER / f"{TUNES[0]}{SUFFIX}"


def installed(role: str = MODEL) -> dict[Path, bytes]:
    """Weights files of a role that come with the package, with the id of the model that each is or belongs to."""
    ids = {}
    for path in sorted(WEIGHTS_FOLDER.glob(f"*{SUFFIX}")):
        with contextlib.suppress(CaeError, TypeError, ValueError):
            metadata = _read_header(path).metadata
            if metadata.get("role") == role:
                ids[path] = bytes.fromhex(metadata.get("id", ""))
    return ids


def _path_of(model: bytes, role: str = MODEL) -> Path | None:
    """The first installed file of a role that is a model, or belongs to it; None without one."""
    return next((path for path, belongs_to in installed(role).items() if belongs_to == model), None)


def find(model_id: bytes, tried: tuple[Path, bytes] | None = None) -> Path:
    """The weights file with an id.

    Raises MissingWeightsError, which names the file and id that were `tried`, where it is not installed.
    """
    if (path := _path_of(model_id)) is not None:
        return path
    models = installed()
    missing = f"the file needs the weights with id {model_id.hex()}"
    if tried is not None and tried[1] not in models.values():
        raise MissingWeightsError(f"{missing}, but {tried[0]} has the id {tried[1].hex()}")
    names = ", ".join(f"{model.hex()} ({path.stem})" for path, model in models.items())
    raise MissingWeightsError(f"{missing}, which are not installed (installed: {names})")


def expected_score(model_id: bytes, quality: int) -> float | None:
    """SSIMULACRA 2 that photographs have on average at a quality; None where the model is not installed or does not say it."""
    path = _path_of(model_id)
    return None if path is None else _read_header(path).config.expected_score(quality)


def is_path(name: str | os.PathLike[str]) -> bool:
    """True if this names a file, not an installed encoder or decoder."""
    return os.fspath(name).endswith(SUFFIX)


def find_model(name: str | os.PathLike[str]) -> Path:
    """The weights file of a model: a path that ends in .safetensors, "default", or the name of one that is installed.

    CaeError where none of this name is installed.
    """
    if is_path(name):
        return Path(name)
    models = {path.stem: path for path in installed()} | {"default": default_path()}
    if os.fspath(name) not in models:
        raise CaeError(f"no weights are named {os.fspath(name)!r}; name a {SUFFIX} file, or one of {', '.join(models)}")
    return models[os.fspath(name)]


def find_part(name: str | os.PathLike[str], role: str, model: bytes) -> Path:
    """The file of an encoder or decoder: a path that ends in .safetensors, or the name of one that is installed.

    CaeError, MissingEncoderError for an encoder, where no such one for this model is installed.
    """
    if is_path(name):
        return Path(name)
    parts = {path.stem: path for path, belongs_to in installed(role).items() if belongs_to == model}
    if os.fspath(name) not in parts:
        owner, names = _owner(name, role), ", ".join(parts) or "none"
        others = f"installed: {names}" if owner is None else f"the installed one belongs to {owner.stem}"
        kind = MissingEncoderError if role == ENCODER else CaeError
        raise kind(f"there is no {role} {os.fspath(name)!r} for the model {model.hex()}; {others}")
    return parts[os.fspath(name)]


def _owner(name: str | os.PathLike[str], role: str) -> Path | None:
    """The installed model that an encoder or decoder belongs to, a file or an installed one; None where there is none."""
    if is_path(name):
        try:
            model = _read_header(Path(name)).metadata.get("id")
        except CaeError:  # loading it says so
            return None
    else:
        model = next((model.hex() for path, model in installed(role).items() if path.stem == os.fspath(name)), None)
    return next((path for path, model_id in installed().items() if model_id.hex() == model), None)


def find_sizes(model: bytes) -> Path | None:
    """The installed file of decoders to other sizes for the model with an id, if any."""
    return _path_of(model, SIZES)


def find_files(
    model: Path | None, encoder: str | os.PathLike[str] | None = None, decoder: str | os.PathLike[str] | None = None
) -> Files:
    """A model's file, and those of another encoder or decoder for it where they are named.

    Without a model it is the installed one that they belong to, else the default.
    """
    if model is None:
        owners = (_owner(name, role) for name, role in ((encoder, ENCODER), (decoder, DECODER)) if name is not None)
        model = next(filter(None, owners), default_path())
    if encoder is None and decoder is None:
        return Files(model)
    belongs_to = Weights.read(model).id
    return Files(
        model,
        *(
            None if name is None else find_part(name, role, belongs_to)
            for name, role in ((encoder, ENCODER), (decoder, DECODER))
        ),
    )


def identity(path: Path) -> tuple[int, int, int]:
    """Returns what changes when a file is replaced; CaeError where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise CaeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read_header(path: Path) -> Weights:
    """A weights file without its tensors: enough for metadata and configuration. CaeError where it cannot be read."""
    with open_regular(path, SIZE_MAX, "weights") as file:
        start = file.read(8)
        # a forged length may be anything
        length = min(int.from_bytes(start, "little"), os.fstat(file.fileno()).st_size)
        return Weights(path, start + file.read(length))
