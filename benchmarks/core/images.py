"""Test images: a folder of one's own, or a known set, each image with a digest of its pixels."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from codec import CaeError
from codec.images.files import read_image

DATASETS = ("scikit-image", "kodak", "clic")
KODAK_PAGE = "https://r0k.us/graphics/kodak/"
CLIC_ARCHIVE = "professional_valid_2020.zip"
"""The 41 photographs of CLIC 2020's professional validation set."""
CLIC_PAGE = f"https://data.vision.ee.ethz.ch/cvl/clic/{CLIC_ARCHIVE}"
CLIC_MD5 = "7111ee240435911db04dbc5f40d50272"
"""As NeuralCompression publishes it; that of the archive as a whole."""
_PIECE = 256
"""Side of the pieces of a patchwork."""
_KODAK_DIGESTS = Path(__file__).with_name("kodak.sha256")
# photographs that are in scikit-image's wheel and have never been JPEG files: such a past would favour JPEG
_SCIKIT_IMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "motorcycle_left.png")


@dataclasses.dataclass(frozen=True)
class Sample:
    """A test image: its file, size in pixels and the digest of its pixels; with `side`, the middle of the file's picture."""

    name: str
    path: Path
    digest: str
    width: int
    height: int
    side: int | None = None

    def load(self) -> np.ndarray:
        """The pixels, (height, width, 3) uint8 RGB."""
        return _load(self.path, self.side)


@functools.lru_cache(maxsize=2)
def _load(path: Path, side: int | None) -> np.ndarray:
    colour = read_image(path).colour
    pixels = np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else np.ascontiguousarray(colour)
    pixels = crop_middle(pixels, side)
    pixels.flags.writeable = False  # the cache hands the same array to every codec
    return pixels


def digest(pixels: np.ndarray) -> str:
    """SHA-256 of an RGB image's size and pixels, as 64 hex digits: the same whatever file format holds the picture."""
    height, width = pixels.shape[:2]
    state = hashlib.sha256(f"{width}x{height}:".encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def sample(path: Path, side: int | None = None) -> Sample:
    """The image of a file, or its middle, at most `side` high and wide. Alpha is left out, gray becomes RGB.

    CaeError where it is none of 8 bits a channel.
    """
    pixels = _load(path, side)
    return Sample(path.stem, path, digest(pixels), pixels.shape[1], pixels.shape[0], side)


def from_folder(folder: Path) -> list[Sample]:
    """All images of a folder (not of those inside it), by name."""
    if not folder.is_dir():
        raise CaeError(f"{folder}: no such folder")
    suffixes = Image.registered_extensions()
    samples = [sample(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.is_file()]
    if not samples:
        raise CaeError(f"{folder}: has no image files")
    return samples


def from_scikit_image() -> list[Sample]:
    """A few photographs and a micrograph, 0.14 to 0.37 megapixels, that come with scikit-image: nothing is downloaded."""
    specification = importlib.util.find_spec("skimage")
    if specification is None or specification.origin is None:
        raise CaeError("the default images come with scikit-image, which is not installed: pip install scikit-image")
    folder = Path(specification.origin).with_name("data")
    return [sample(folder / name) for name in _SCIKIT_IMAGE]


@functools.cache
def kodak_digests() -> dict[str, str]:
    """Digest of the pixels of each of the 24 Kodak images, by name."""
    lines = _KODAK_DIGESTS.read_text(encoding="ascii").split("\n")
    return {name: value for value, name in (line.split() for line in lines if line)}


def is_kodak(samples: list[Sample]) -> bool:
    """True if these are exactly the 24 Kodak images, whatever the names of their files."""
    return sorted(item.digest for item in samples) == sorted(kodak_digests().values())


def from_kodak(folder: Path | None) -> list[Sample]:
    """The 24 Kodak images from a folder, verified pixel by pixel through their digests; other files are left out."""
    where = f"get kodim01.png to kodim24.png from {KODAK_PAGE} and name their folder"
    if folder is None:
        raise CaeError(f"the Kodak images do not come with this program: {where}")
    if not folder.is_dir():
        raise CaeError(f"{folder}: no such folder; {where}")
    samples = []
    for name, expected in kodak_digests().items():
        path = folder / f"{name}.png"
        if not path.is_file():
            raise CaeError(f"{path}: is missing; {where}")
        samples.append(sample(path))
        if samples[-1].digest != expected:
            raise CaeError(f"{path}: its pixels are not those of the Kodak image; {where}")
    return samples


def from_clic(folder: Path | None) -> list[Sample]:
    """CLIC's images from a folder that holds their archive and what it unpacks to, verified against the archive."""
    where = f"get {CLIC_PAGE}, unpack it where it lies, and name that folder"
    if folder is None:
        raise CaeError(f"the CLIC images do not come with this program: {where}")
    archive = folder / CLIC_ARCHIVE
    if not archive.is_file():
        raise CaeError(f"{archive}: is missing; {where}")
    with open(archive, "rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() != CLIC_MD5:
            raise CaeError(f"{archive}: its MD5 checksum is not {CLIC_MD5}; {where}")
    samples = []
    for entry in zipfile.ZipFile(archive).infolist():
        if not entry.filename.endswith(".png") or entry.filename.startswith("__MACOSX"):
            continue
        path = folder / entry.filename
        if not path.is_file():
            raise CaeError(f"{path}: is missing; {where}")
        if zlib.crc32(path.read_bytes()) != entry.CRC:
            raise CaeError(f"{path}: is not the file in the archive; {where}")
        samples.append(sample(path))
    return samples


def gather(dataset: str | None, folder: Path | None) -> list[Sample]:
    """The images of a folder or of a known set; without either, those of scikit-image.

    Raises:
        CaeError: where images are missing or not what they should be, or two files hold the same picture.
    """
    if dataset == "kodak":
        samples = from_kodak(folder)
    elif dataset == "clic":
        samples = from_clic(folder)
    elif folder is not None:
        if dataset is not None:
            raise CaeError(f"give a folder or --dataset {dataset}, not both")
        samples = from_folder(folder)
    else:
        samples = from_scikit_image()
    seen: dict[str, Sample] = {}
    for item in samples:
        if item.digest in seen:
            raise CaeError(f"{item.path}: has the same pixels as {seen[item.digest].path}; remove one")
        seen[item.digest] = item
    return samples


def patchwork(width: int, height: int, photographs: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields a picture in bands (rows, width, 3): pieces of photographs (H, W, 3), mirrored at random; always the same."""
    rng = np.random.default_rng(0)
    fitting = [picture for picture in photographs if min(picture.shape[:2]) >= _PIECE]
    if not fitting:
        raise CaeError(f"none of the photographs has {_PIECE} x {_PIECE} pixels")
    for top in range(0, height, _PIECE):
        band = np.empty((_PIECE, -(-width // _PIECE) * _PIECE, 3), np.uint8)
        for left in range(0, width, _PIECE):
            picture = fitting[rng.integers(len(fitting))]
            y, x = (rng.integers(side - _PIECE + 1) for side in picture.shape[:2])
            piece = picture[y : y + _PIECE, x : x + _PIECE, :]
            band[:, left : left + _PIECE] = piece[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        yield band[: height - top, :width]


def crop_middle(pixels: np.ndarray, side: int | None) -> np.ndarray:
    """The middle of pixels (H, W, 3), at most `side` high and wide, as a copy; all of them where `side` is None."""
    if side is None:
        return pixels
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].copy()
