"""Pillow's plugin: after `import codec.pillow`, `Image.open` knows `.cae` files, and `save` writes them.

Opening and verifying import no torch; the picture is decoded when its pixels are asked for, by `thumbnail` or after `draft`
at a reduced size. Of more than 8 bits a sample, gray is in mode I;16 and colours are rounded to 8, as Pillow has no such
mode for them. `save` takes the options of `codec.encode`, and `exif`, `icc_profile`, `xmp` and `dpi`. By default these are the
image's own, with what `getexif()` has been changed to.

>>> import io, codec.pillow
>>> from PIL import Image
>>> file = io.BytesIO()
>>> Image.new("RGB", (40, 30), "teal").save(file, "CAE", quality=80)
>>> with Image.open(file) as image:
...     image.format, image.size, image.mode
('CAE', (40, 30), 'RGB')
"""

from __future__ import annotations

import dataclasses
import io
from typing import IO, Any

from PIL import Image, ImageFile

import codec

from .errors import CaeError
from .format import container
from .format.header import MAGIC
from .format.limits import PIXELS_MAX
from .format.sources import Seekable
from .images.colour_space import read_colour_space
from .images.metadata import as_section, info_for_pillow, read_metadata
from .images.resolution import replace_resolution
from .images.samples import converted
from .metadata import EXIF, SECTIONS
from .options import REDUCTIONS, DecodeOptions, EncodeOptions

ARGUMENTS: dict[str, Any] = {}
"""Arguments of `codec.Codec` for all images: `device`, `threads`, `weights` and so on."""
_OPTIONS = tuple(field.name for field in dataclasses.fields(EncodeOptions))


class CaeImageFile(ImageFile.ImageFile):
    """A `.cae` file, which is decoded when it is loaded."""

    format = "CAE"
    format_description = "Learned image codec"
    _reduction = 1

    def _open(self) -> None:
        try:
            header, metadata = container.read_beginning(Seekable(self.fp))
        except CaeError as error:
            raise SyntaxError(str(error)) from None  # so that Pillow tries its other formats
        self._size = header.width, header.height
        # Pillow has a mode of 16 bits for gray alone
        self._mode = "I;16" if header.is_high_bit_depth and header.mode == "L" else header.mode
        self.info |= info_for_pillow(metadata)
        self._pixels_max = _pixels_max(self)
        self._plan()

    def _plan(self) -> None:
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Chooses to decode the picture at 1/2, 1/4 or 1/8 of its size: the least that covers `size`.

        The mode stays as it is. Pictures with alpha keep their size, and Pillow reduces them itself.

        Returns:
            The mode, and where the picture lies in the reduced one: (0, 0, right, bottom), in fractions of its pixels. None
            where nothing changes, as once it has been loaded, or reduced by an earlier call.
        """
        if not self.tile or self._reduction > 1 or size is None or "A" in self.mode:
            return None
        most = min(side // max(1, needed) for side, needed in zip(self.size, size, strict=True))
        self._reduction = max(factor for factor in REDUCTIONS if factor <= max(1, most))
        if self._reduction == 1:
            return None
        right, bottom = (side / self._reduction for side in self.size)
        self._size = DecodeOptions(scale=1 / self._reduction).size_of(*self.size)
        self._plan()
        return self.mode, (0, 0, right, bottom)

    def verify(self) -> None:
        """Checks all checksums without decoding; OSError where one does not match. Open the file again afterwards."""
        try:
            container.check(Seekable(self.fp))
        except CaeError as error:
            raise OSError(str(error)) from None
        super().verify()

    def load(self) -> Any:
        """Decodes the picture, if that has not been done; OSError where the file is damaged or cut off.

        With Pillow's `ImageFile.LOAD_TRUNCATED_IMAGES`, damaged tiles are filled in with a warning.
        """
        if self.tile and self._im is None:
            if self.fp is None:
                raise OSError("cannot load this image: its file has been closed or verified; open it again")
            on_error = "fill" if ImageFile.LOAD_TRUNCATED_IMAGES else "raise"
            arguments = {"pixels_max": self._pixels_max} | ARGUMENTS
            try:
                with codec.open(self.fp, on_error=on_error, **arguments) as picture:
                    pixels = picture.read(scale=1 / self._reduction)
                    if picture.depth > 8:
                        pixels = pixels.astype("<u2") if self.mode == "I;16" else converted(pixels, picture.depth, 8)
            except CaeError as error:
                raise OSError(str(error)) from error
            if self._exclusive_fp:
                self.fp.close()
            self.fp = io.BytesIO(pixels)
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Does nothing, since the pixels are a file of their own; without it Pillow would map the coded file."""


def _pixels_max(image: Image.Image) -> int:
    """A limit for pictures that Pillow's own limit has let pass."""
    return max(PIXELS_MAX, 2 * image.width * image.height)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    keywords = image.encoderinfo
    try:
        options = dataclasses.asdict(EncodeOptions(**{name: keywords[name] for name in _OPTIONS if name in keywords}))
    except CaeError as error:
        raise ValueError(str(error)) from None
    metadata = None  # the image's own
    replaced = [section for section in SECTIONS if section.pillow_key in keywords]
    if replaced or "dpi" in keywords:
        metadata = read_colour_space(image) | read_metadata(image)
        for section in replaced:
            try:
                metadata[section.name] = as_section(keywords[section.pillow_key])
            except ValueError as error:
                raise ValueError(f"{section.pillow_key} is {error}") from None
        if "dpi" in keywords:
            metadata[EXIF.name] = replace_resolution(metadata.get(EXIF.name, b""), keywords["dpi"])
        metadata = {name: content for name, content in metadata.items() if content}
    try:
        data = codec.encode(image, **options, metadata=metadata, **{"pixels_max": _pixels_max(image)} | ARGUMENTS)
    except CaeError as error:
        raise OSError(f"cannot write mode {image.mode} as CAE: {error}") from error
    file.write(data)


Image.register_open(CaeImageFile.format, CaeImageFile, _accept)
Image.register_save(CaeImageFile.format, _save)
Image.register_extension(CaeImageFile.format, ".cae")
Image.register_mime(CaeImageFile.format, "image/x-cae")
