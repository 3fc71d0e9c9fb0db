"""Numbers of the tags of TIFF files and EXIF blocks, and of their values."""

from __future__ import annotations

import enum

from ..metadata import ICC_PROFILE as ICC


class Tag(enum.IntEnum):
    """Tags by the names that this package has for them."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    DESCRIPTION = 270
    MAKE = 271
    MODEL = 272
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    STRIP_ROWS = 278
    STRIP_SIZES = 279
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR = 284
    RESOLUTION_UNIT = 296
    SOFTWARE = 305
    DATE_TIME = 306
    ARTIST = 315
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_SIZES = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    COPYRIGHT = 33432
    EXIF_DIRECTORY = 34665
    GPS_DIRECTORY = 34853
    ICC_PROFILE = ICC.tiff_tag


OF_PIXELS: tuple[int, ...] = (
    Tag.WIDTH, Tag.HEIGHT, Tag.BITS, Tag.COMPRESSION, Tag.PHOTOMETRIC, Tag.FILL_ORDER, Tag.SAMPLES, Tag.STRIP_ROWS,
    Tag.PLANAR, 292, 293, Tag.PREDICTOR, 320, Tag.TILE_WIDTH, Tag.TILE_HEIGHT, 332, Tag.EXTRA_SAMPLES, Tag.SAMPLE_FORMAT, 347,
    529, 530, 531, 532,
)  # fmt: skip
"""Tags that say how pixels are stored, but not where."""
DIRECTORIES = (Tag.EXIF_DIRECTORY, Tag.GPS_DIRECTORY)
"""Tags whose values are directories of further tags."""
OF_PICTURE = (
    Tag.DESCRIPTION, Tag.MAKE, Tag.MODEL, Tag.ORIENTATION, Tag.SOFTWARE, Tag.DATE_TIME, Tag.ARTIST, Tag.COPYRIGHT, *DIRECTORIES,
)  # fmt: skip
"""Tags that describe the picture, whatever its pixels are."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
NONE, LZW, DEFLATES, PACKBITS, LZMA, ZSTD = 1, 5, (8, 32946), 32773, 34925, 50000
LONG, LONG8 = 4, 16
