"""Textures in crops without fault, split by place, and the same with defects drawn on them, with masks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TEXTURE_SIDE = 128
"""Pixels to a side of a crop."""
PLACES = {"training": (0, 256), "validation": (256, 384), "test": (384, 512)}
"""Columns of a texture's 512 x 512 pixels from which the crops of each part are cut; none sees another's."""
STEP = {"training": 40, "validation": 64, "test": 32}
"""Pixels from crop to crop; in training no multiple of the latent's stride, so that it is seen in two places on its grid."""

Defective = tuple[np.ndarray, np.ndarray]
"""Pixels (H, W) or (H, W, 3) uint8, and which of them are defective (H, W) bool."""


@dataclasses.dataclass(frozen=True)
class TextureSample:
    """A picture (H, W) or (H, W, 3) uint8; `kind` None is without fault, else `mask` (H, W) says where the defect is."""

    pixels: np.ndarray
    kind: str | None
    mask: np.ndarray


def _field(rng: np.random.Generator, down: int, across: int) -> np.ndarray:
    """Smooth noise (512, 512) of deviation 1, whose grains are so many pixels long."""
    noise = Image.fromarray(rng.normal(0, 1, (-(-512 // down), -(-512 // across))).astype(np.float32))
    field = np.asarray(noise.resize((512, 512), Image.Resampling.BICUBIC), np.float64)
    return (field - field.mean()) / field.std()


def _cloth(rng: np.random.Generator) -> np.ndarray:
    """A plain weave of yarns eight pixels apart."""
    y, x = np.mgrid[:512, :512] + 0.6 * np.stack([_field(rng, 32, 32), _field(rng, 32, 32)])
    over = np.sin(np.pi * x / 8) * np.sin(np.pi * y / 8) > 0
    yarn = np.where(over, np.abs(np.sin(np.pi * x / 8)), np.abs(np.sin(np.pi * y / 8)))
    gray = 70 + 80 * yarn + 6 * _field(rng, 4, 4) + rng.normal(0, 4, (512, 512))
    return np.clip(gray[..., None] * [0.75, 0.9, 1.1], 0, 255).astype(np.uint8)


def _metal(rng: np.random.Generator) -> np.ndarray:
    """Brushed along the rows."""
    return np.clip(150 + 10 * _field(rng, 1, 48) + 5 * _field(rng, 1, 8) + rng.normal(0, 2, (512, 512)), 0, 255).astype(
        np.uint8
    )


def _leather(rng: np.random.Generator) -> np.ndarray:
    """Brown, with folds of all directions."""
    folds = np.exp(-4 * np.abs(_field(rng, 7, 7))) + 0.6 * np.exp(-4 * np.abs(_field(rng, 5, 5)))
    gray = 150 - 45 * folds + 4 * _field(rng, 2, 2) + rng.normal(0, 3, (512, 512))
    return np.clip(gray[..., None] * [1.0, 0.7, 0.5], 0, 255).astype(np.uint8)


def _photograph(name: str) -> np.ndarray:
    import skimage.data

    return getattr(skimage.data, name)()


TEXTURES: dict[str, Callable[[], np.ndarray]] = {
    **{name: functools.partial(_photograph, name) for name in ("brick", "grass", "gravel")},
    "cloth": lambda: _cloth(np.random.default_rng(1)),
    "metal": lambda: _metal(np.random.default_rng(2)),
    "leather": lambda: _leather(np.random.default_rng(3)),
}
"""Photographs out of scikit-image's wheel, then drawn ones: 512 x 512 pixels each."""


def crops(texture: str, part: str) -> list[np.ndarray]:
    """A texture's crops (TEXTURE_SIDE, TEXTURE_SIDE) or (TEXTURE_SIDE, TEXTURE_SIDE, 3) of a part of `PLACES`."""
    left, right = PLACES[part]
    pixels = TEXTURES[texture]()[:, left:right]
    step = STEP[part]
    return [
        pixels[y : y + TEXTURE_SIDE, x : x + TEXTURE_SIDE]
        for y in range(0, pixels.shape[0] - TEXTURE_SIDE + 1, step)
        for x in range(0, pixels.shape[1] - TEXTURE_SIDE + 1, step)
    ]


def samples(texture: str, part: str, seed: int = 0) -> list[TextureSample]:
    """A part's crops as they are, and each of them with a defect of each kind; the same for the same seed."""
    none = np.zeros((TEXTURE_SIDE, TEXTURE_SIDE), bool)
    result = []
    for number, pixels in enumerate(crops(texture, part)):
        result.append(TextureSample(pixels, None, none))
        for order, (kind, draw) in enumerate(DEFECTS.items()):
            place = list(TEXTURES).index(texture), tuple(PLACES).index(part), number, order
            result.append(TextureSample(*_named(kind, draw(pixels, np.random.default_rng((seed, *place))))))
    return result


def _named(kind: str, drawn: Defective) -> tuple[np.ndarray, str, np.ndarray]:
    return drawn[0], kind, drawn[1]


def _blob(rng: np.random.Generator, smallest: float, largest: float) -> np.ndarray:
    """A crooked disc (TEXTURE_SIDE, TEXTURE_SIDE) of 0 to 1 with soft edges, wholly within the crop; radii in pixels."""
    radius = rng.uniform(smallest, largest)
    y, x = rng.uniform(1.4 * radius, TEXTURE_SIDE - 1.4 * radius, 2)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waves = sum(rng.normal(0, 0.08) * np.cos(n * angles + rng.uniform(0, 6.3)) for n in (2, 3, 5))
    stretch = rng.uniform(0.8, 1.2)
    reach = radius * np.clip(1 + waves, 0.6, 1.3)
    outline = zip(x + stretch * reach * np.cos(angles), y + reach / stretch * np.sin(angles), strict=True)
    return _soft(lambda draw: draw.polygon([(float(a), float(b)) for a, b in outline], fill=255), 0.8)


def _soft(paint: Callable[[ImageDraw.ImageDraw], None], blur: float) -> np.ndarray:
    image = Image.new("L", (TEXTURE_SIDE, TEXTURE_SIDE))
    paint(ImageDraw.Draw(image))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float64) / 255


def _mixed(pixels: np.ndarray, other: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """`other` over the pixels, as its share (H, W) of 0 to 1 says, in uint8."""
    share = share if pixels.ndim == 2 else share[..., None]
    return np.clip(pixels * (1 - share) + other * share, 0, 255).round().astype(np.uint8)


def _contrast(rng: np.random.Generator, smallest: float, largest: float) -> float:
    return float(rng.uniform(smallest, largest) * rng.choice([-1, 1]))


def scratch(pixels: np.ndarray, rng: np.random.Generator) -> Defective:
    """A bent line, 1 to 3 pixels wide and 30 to 100 long, lighter or darker by 35 to 110 levels."""
    start, angle, bend = rng.uniform(20, TEXTURE_SIDE - 20, 2), rng.uniform(0, 6.3), rng.normal(0, 0.02)
    points = [start]
    for _ in range(int(rng.uniform(15, 50))):
        angle += bend
        points.append(np.clip(points[-1] + 2 * np.array([np.cos(angle), np.sin(angle)]), 3, TEXTURE_SIDE - 4))
    width = int(rng.integers(1, 4))
    line = [(float(x), float(y)) for x, y in points]
    share = _soft(lambda draw: draw.line(line, fill=255, width=width), 0.5)
    return _mixed(pixels, pixels + _contrast(rng, 35, 110), share), share > 0.2


def dent(pixels: np.ndarray, rng: np.random.Generator) -> Defective:
    """A disc of radius 8 to 24 whose surface is drawn to its middle, and lit from one side by 20 to 70 levels."""
    radius = rng.uniform(8, 24)
    middle = rng.uniform(radius, TEXTURE_SIDE - radius, 2)
    offset = np.stack(np.mgrid[:TEXTURE_SIDE, :TEXTURE_SIDE], -1) - middle
    distance = np.linalg.norm(offset, axis=-1) / radius
    fall = np.clip(1 - distance**2, 0, None)
    moved = middle + offset * (1 + rng.uniform(0.3, 0.9) * fall[..., None])
    rows, columns = np.clip(moved.round(), 0, TEXTURE_SIDE - 1).astype(int).transpose(2, 0, 1)
    angle = rng.uniform(0, 6.3)
    light = rng.uniform(20, 70) * fall * (offset @ [np.sin(angle), np.cos(angle)]) / radius * 2.6
    light = light if pixels.ndim == 2 else light[..., None]
    return np.clip(pixels[rows, columns] + light, 0, 255).round().astype(np.uint8), distance < 1


def stain(pixels: np.ndarray, rng: np.random.Generator) -> Defective:
    """A blot of radius 6 to 24 that tints what is under it by 30 to 100 levels; on colours, each by its own part."""
    share = _blob(rng, 6, 24)
    tint = _contrast(rng, 30, 100) * (1.0 if pixels.ndim == 2 else rng.uniform(0.3, 1, 3))
    return _mixed(pixels, pixels + tint, share * rng.uniform(0.7, 1)), share > 0.5


def missing(pixels: np.ndarray, rng: np.random.Generator) -> Defective:
    """A hole of radius 6 to 20, black or of the mean colour around it, with noise of one level."""
    share = _blob(rng, 6, 20)
    fill = pixels[share > 0.5].mean(0) if rng.random() < 0.5 else 0
    return _mixed(pixels, fill + rng.normal(0, 1, pixels.shape), share), share > 0.5


DEFECTS: dict[str, Callable[[np.ndarray, np.random.Generator], Defective]] = {
    "scratch": scratch,
    "dent": dent,
    "stain": stain,
    "missing": missing,
}
