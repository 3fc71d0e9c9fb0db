"""Augmentation of patches: cutting, reducing, turning, recolouring, fading into noise, cutting out, drawing on them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..options import AUGMENTATIONS

RESCALE_MAX = 1.6
JITTER_MAX = 0.2
"""Largest difference from 1 of the factors of contrast, saturation and brightness."""
_LETTERS = "eeettaaooiinnsshhrrddlluuccmmffppggwwyybbvkxjqz" + "EATOINSRHDLU" + "0123456789.,:-()"


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Shares of the patches that are flipped, rotated and so on.

    Rotation is by 0 to 3 right angles, of all patches or none. With an `overlap`, patches come from a grid whose neighbours
    share that part of a side; without it, from any position.
    """

    flip: float = AUGMENTATIONS["flip"]
    rotate: float = AUGMENTATIONS["rotate"]
    rescale: float = AUGMENTATIONS["rescale"]
    noise: float = 0.0
    plain: float = 0.0
    drawn: float = 0.0
    jitter: float = 0.0
    overlap: float | None = None

    @classmethod
    def named(cls, names: tuple[str, ...], overlap: float | None = None) -> Augmentation:
        """Only the augmentations of these names, each for its usual share of the patches."""
        return cls(overlap=overlap, **{name: share if name in names else 0 for name, share in AUGMENTATIONS.items()})

    def cut(self, image: Tensor, size: int, rng: np.random.Generator, reduction: int = 1) -> Tensor:
        """Cuts an augmented patch (size, size, 3) from an image (H, W, 3) uint8 with sides of at least `size`.

        The patch shows the image at 1/`reduction` of its size, or at the smallest that its sides allow.
        """
        height, width = image.shape[:2]
        side = min(size * reduction, height, width)
        if rng.random() < self.rescale:
            side = min(int(size * reduction * rng.uniform(1, RESCALE_MAX)), height, width)
        top, left = (self._position(length - side, side, rng) for length in (height, width))
        patch = image[top : top + side, left : left + side]
        if side != size:
            patch = _resize(patch, size)
        if rng.random() < self.flip:
            patch = patch.flip(1)
        turns = int(rng.integers(4))
        patch = patch.rot90(turns) if self.rotate else patch
        # a share of zero takes no random number, so that the other augmentations stay the same
        changes = ((self.noise, _fade_into_noise), (self.plain, _cut_out), (self.drawn, _draw_on), (self.jitter, _recolour))
        for share, change in changes:
            if share and rng.random() < share:
                patch = change(patch, rng)
        return patch

    def _position(self, room: int, side: int, rng: np.random.Generator) -> int:
        """The position of a patch along one axis, 0 to `room`; the grid's last position is at the end."""
        if self.overlap is None:
            return int(rng.integers(room + 1))
        stride = max(1, round(side * (1 - self.overlap)))
        return min(room, stride * int(rng.integers(math.ceil(room / stride) + 1)))


def _resize(patch: Tensor, size: int) -> Tensor:
    """Reduces a patch (S, S, 3) to (size, size, 3) by a bicubic filter."""
    x = patch.permute(2, 0, 1)[None].float()
    x = torch.nn.functional.interpolate(x, (size, size), mode="bicubic", antialias=True)
    return x[0].round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0)


def _recolour(patch: Tensor, rng: np.random.Generator) -> Tensor:
    """Changes saturation, contrast and brightness of a patch (P, P, 3)."""
    saturation, contrast, brightness = rng.uniform(1 - JITTER_MAX, 1 + JITTER_MAX, 3)
    x = patch.float()
    x = torch.lerp(x.mean(-1, keepdim=True), x, saturation)
    x = torch.lerp(x.mean(), x, contrast) * brightness
    return x.round_().clamp_(0, 255).to(torch.uint8)


def _fade_into_noise(patch: Tensor, rng: np.random.Generator) -> Tensor:
    """Fades a patch (P, P, 3) into noise: gray or coloured, of all levels or of two, of pixels or of larger squares.

    Half of the noise repeats every few squares, as stripes, checkerboards and dithering do.
    """
    size, square = len(patch), 2 ** rng.integers(3)
    noise = rng.random((size, size, rng.choice((1, 3))), np.float32)
    if rng.random() < 0.5:
        noise = noise.round()
    periods = rng.integers(1, 5, 2) if rng.random() < 0.5 else (size, size)
    rows, columns = (np.arange(size) // square % period for period in periods)
    pattern = torch.from_numpy(255 * noise[rows[:, None], columns]).to(patch.device, non_blocking=True)
    return patch.float().lerp(pattern.expand(size, size, 3), rng.random()).to(torch.uint8)


def _cut_out(patch: Tensor, rng: np.random.Generator) -> Tensor:
    """Fills a patch (P, P, 3) with one colour, mostly white, outside or inside of a disc, a diamond or a box.

    The shape has any size and angle; its edge is hard or some pixels wide.
    """
    size = len(patch)
    ground = rng.choice((255, 255, 0, *rng.integers(0, 256, 2)))
    colour = np.full(3, ground) if rng.random() < 0.7 else rng.integers(0, 256, 3)
    centre, angle = rng.uniform(0, size, 2), rng.uniform(0, math.pi)
    radii, power, width = size * rng.uniform(0.1, 1, 2), rng.choice((1, 2, 8)), rng.uniform(0.5, 3)
    across, down = (np.arange(size) - place for place in centre)
    turned = np.cos(angle) * across + np.sin(angle) * down[:, None], np.cos(angle) * down[:, None] - np.sin(angle) * across
    away = sum(np.abs(part / radius) ** power for part, radius in zip(turned, radii, strict=True)) ** (1 / power)
    covered = np.clip((away - 1) * radii.min() / width + 0.5, 0, 1)
    if rng.random() < 0.3:
        covered = 1 - covered
    cover, fill = (
        torch.from_numpy(np.float32(part)).to(patch.device, non_blocking=True) for part in (covered[..., None], colour)
    )
    return patch.float().lerp(fill.expand_as(patch), cover).round_().to(torch.uint8)


def _draw_on(patch: Tensor, rng: np.random.Generator) -> Tensor:
    """Draws letters, lines, boxes and ellipses with smooth or hard edges over a patch (P, P, 3), or over one colour."""
    size = len(patch)
    finer = int(rng.integers(1, 3))
    side = finer * size

    def colour() -> tuple[int, ...]:
        levels = rng.choice((0, 255)) if rng.random() < 0.4 else rng.integers(0, 256, 1 if rng.random() < 0.3 else 3)
        return tuple(int(value) for value in np.broadcast_to(levels, 3))

    image = Image.fromarray(patch.cpu().numpy()) if rng.random() < 0.5 else Image.new("RGB", (size, size), colour())
    image = image.resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(finer * float(rng.uniform(8, 40)))
    for _ in range(rng.integers(1, 10)):
        ink, kind, width = colour(), rng.random(), finer * int(rng.integers(1, 5))
        if kind < 0.5:
            text = "".join(rng.choice(list(_LETTERS), 40))
            words = " ".join(text[start : start + 5] for start in range(0, 40, int(rng.integers(5, 9))))
            draw.text((int(rng.integers(-side // 2, side)), int(rng.integers(side))), words, ink, font)
        elif kind < 0.7:
            draw.line([tuple(point) for point in rng.integers(0, side, (rng.integers(2, 8), 2)).tolist()], ink, width)
        else:
            corners = np.sort(rng.integers(0, side, (2, 2)), 0).ravel().tolist()
            shape = draw.rectangle if kind < 0.85 else draw.ellipse
            shape(corners, ink if rng.random() < 0.5 else None, colour(), width)
    return torch.from_numpy(np.array(image.reduce(finer))).to(patch.device)
