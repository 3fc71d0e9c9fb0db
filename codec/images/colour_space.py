"""Colour spaces that a picture's file names other than by an ICC profile.

Code points for primaries and transfer (CICP, ITU-T H.273), the mastering display and light levels are kept as PNG has them.
Gamma and chromaticities of PNG files become an ICC profile.
"""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from ..metadata import CICP, ICC_PROFILE, LIGHT_LEVEL, MASTERING
from .bit_depth import reopened
from .png_chunks import make_chunk

_PNG_CHUNKS = {b"cICP": CICP, b"mDCV": MASTERING, b"cLLI": LIGHT_LEVEL}
_SECTION_LENGTHS = {CICP.name: 4, MASTERING.name: 24, LIGHT_LEVEL.name: 8}
_CICP_SRGB, _CICP_UNSPECIFIED = (1, 13), (2, 2)
"""Primaries and transfer."""
_SRGB_GAMMA = 1 / 2.2
_SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_BEGINNING = 2**20
"""Bytes of a file in which the boxes of its colour space are looked for."""
_PROFILE_MAX = 2**26
_BMP_V5_SIZE, _BMP_EMBEDDED = 124, b"DEBM"
"""Size of a BMP header with a place for an ICC profile, and the mark of one that lies in the file."""


def read_colour_space(image: Image.Image) -> dict[str, bytes]:
    """Returns the sections of a Pillow image's colour space, if its file is at hand; without those that say sRGB."""
    if not isinstance(image, ImageFile):
        return {}
    if isinstance(nclx := image.info.get("nclx_profile"), dict):  # from pillow-heif
        code_points = nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2)
        return _checked({CICP.name: bytes((*map(int, code_points), 0, 1))})
    readers = {"PNG": read_png_colour_space, "AVIF": _read_avif, "BMP": _read_bmp, "JPEG2000": _read_jpeg2000}
    if image.format not in readers:
        return {}
    with reopened(image) as opened:
        return {} if opened is None else readers[image.format](opened[1])


def read_png_colour_space(file: BinaryIO) -> dict[str, bytes]:
    """Returns the sections of the chunks before the pixels of a PNG file."""
    sections = {}
    position = 8
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            return _checked(sections)
        (length,) = struct.unpack(">I", head[:4])
        if section := _PNG_CHUNKS.get(head[4:]):
            sections[section.name] = file.read(min(length, 64))
        position += 12 + length


def with_png_chunks(data: bytes, sections: dict[str, bytes]) -> bytes:
    """Returns a PNG file with chunks for these sections behind its header."""
    chunks = b""
    for name, section in _PNG_CHUNKS.items():
        if content := sections.get(section.name):
            chunks += make_chunk(name, content)
    return data[:33] + chunks + data[33:]


def with_avif_code_points(data: bytes, cicp: bytes) -> bytes | None:
    """Returns an AVIF file that names these primaries and this transfer; None if it has no place for them."""
    place = data.find(b"colrnclx")
    if place < 0:
        return None
    return data[: place + 8] + struct.pack(">HH", cicp[0], cicp[1]) + data[place + 12 :]


def _read_avif(file: BinaryIO) -> dict[str, bytes]:
    data = file.read(_BEGINNING)
    sections = {}
    if match := re.search(rb"colrnclx(.{4})", data, re.DOTALL):
        primaries, transfer = struct.unpack(">HH", match[1])
        if max(primaries, transfer) < 256:
            sections[CICP.name] = bytes((primaries, transfer, 0, 1))
    if match := re.search(rb"\0\0\0\x20mdcv(.{24})", data, re.DOTALL):
        # green, blue, red there; red, green, blue in PNG
        sections[MASTERING.name] = match[1][8:12] + match[1][:8] + match[1][12:]
    if match := re.search(rb"\0\0\0\x0cclli(.{4})", data, re.DOTALL):
        # candelas per square metre there; a ten-thousandth of them in PNG
        sections[LIGHT_LEVEL.name] = struct.pack(">II", *(10_000 * level for level in struct.unpack(">HH", match[1])))
    return _checked(sections)


def _read_bmp(file: BinaryIO) -> dict[str, bytes]:
    """Returns the ICC profile, which Pillow does not read."""
    header = file.read(14 + _BMP_V5_SIZE)[14:]
    if len(header) < _BMP_V5_SIZE or int.from_bytes(header[:4], "little") < _BMP_V5_SIZE or header[56:60] != _BMP_EMBEDDED:
        return {}
    offset, size = struct.unpack_from("<II", header, 112)
    file.seek(14 + offset)
    profile = file.read(min(size, _PROFILE_MAX))
    return {ICC_PROFILE.name: profile} if profile and len(profile) == size else {}


def _read_jpeg2000(file: BinaryIO) -> dict[str, bytes]:
    """Returns the ICC profile of a colour specification box (ISO/IEC 15444-1, I.5.3.3), which Pillow does not read."""
    data = file.read(_BEGINNING)
    if match := re.search(rb"(.{4})colr[\2\3]..", data, re.DOTALL):
        profile = data[match.end() :][: int.from_bytes(match[1], "big") - (match.end() - match.start())]
        if profile[:4] == struct.pack(">I", len(profile)) and profile[36:40] == b"acsp":
            return {ICC_PROFILE.name: profile}
    return {}


def _checked(sections: dict[str, bytes]) -> dict[str, bytes]:
    kept = {name: content for name, content in sections.items() if len(content) == _SECTION_LENGTHS[name]}
    if tuple(kept.get(CICP.name, b"")[:2]) in (_CICP_SRGB, _CICP_UNSPECIFIED):
        del kept[CICP.name]
    return kept


def profile_of_gamma(image: Image.Image) -> bytes:
    """Returns an ICC profile of a PNG's gamma and chromaticities, one of which may be missing; b"" for those of sRGB.

    ValueError where they are none.
    """
    if image.format != "PNG" or "srgb" in image.info or not {"gamma", "chromaticity"} & image.info.keys():
        return b""
    gamma, chromaticities = image.info.get("gamma") or _SRGB_GAMMA, image.info.get("chromaticity", _SRGB_CHROMATICITIES)
    if len(chromaticities) != 8 or min(chromaticities[1::2]) <= 0:
        raise ValueError("its chromaticities are no colours")
    is_gray = image.mode in ("1", "L", "LA", "I;16")
    as_usual = is_gray or np.allclose(chromaticities, _SRGB_CHROMATICITIES, atol=0.002)
    if as_usual and abs(gamma - _SRGB_GAMMA) < 0.005:
        return b""
    curve = b"curv" + struct.pack(">IIH", 0, 1, min(65535, round(256 / gamma)))
    points = np.array(chromaticities).reshape(4, 2)
    white, *primaries = np.column_stack([points, 1 - points.sum(1)]) / points[:, 1:]
    tags = {b"desc": _description(), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(_D50)}
    if is_gray:
        return _profile(b"GRAY", tags | {b"kTRC": curve})
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD
    columns = np.array(primaries).T
    colourants = adapt @ (columns * np.linalg.solve(columns, white))
    for index, name in enumerate(b"rgb"):
        tags |= {bytes([name]) + b"XYZ": _xyz(colourants[:, index]), bytes([name]) + b"TRC": curve}
    return _profile(b"RGB ", tags)


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in values.tolist()))


def _description() -> bytes:
    text = b"gamma and chromaticities of a PNG file\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Makes a display profile of version 2."""
    content, table = io.BytesIO(), struct.pack(">I", len(tags))
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + content.tell(), len(data))
        content.write(data + bytes(-len(data) % 4))
    body = table + content.getvalue()
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", *(round(value * 65536) for value in _D50.tolist()))
    return head.ljust(128, b"\0") + body
