"""Screen content: pixels that repeat exactly, as in drawings but not in photographs, and filling hidden pixels."""

from __future__ import annotations

import numpy as np

BLOCK = 8
"""Side in pixels of the blocks that are hidden or seen as a whole."""
_TEST_BLOCK = 16
"""Side in pixels of the blocks that the test looks at."""
_SAMPLED_ROWS = 16
"""The first test looks at one of so many rows."""
_SAMPLED_BLOCKS = 4
"""The second test looks at one of so many rows of blocks."""
_REPEATING = 0.25
"""Share of pixels that repeat one before them in a row. Of 40 photographs 12 have more, of screen content nearly all."""
_NEW_MAX = 0.5
"""Share of new pixels that a block of screen content has at most."""
_CONTRAST = 48
"""Levels of 255 between the darkest and the brightest pixel of a block that holds more than a plain ground."""
_SCREEN_BLOCKS_MIN = 0.08
"""Share of blocks of screen content with contrast. Of 40 photographs none has more than 0.07; text has 0.7, a slide 0.11."""
_PLAIN = 0.02
"""Share of new pixels up to which a picture is screen content even without any contrast."""


def looks_like_screen_content(pixels: np.ndarray, largest: int = 255) -> bool:
    """True if pixels (H, W, 1 or 3) of samples up to `largest` may be better coded without loss.

    Costs little, and least for photographs.

    >>> looks_like_screen_content(np.tile(np.uint8([[0, 255], [255, 0]]), (20, 20))[..., None])
    True
    >>> looks_like_screen_content(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8))
    False
    """
    rows = _packed(pixels[::_SAMPLED_ROWS])
    repeating = rows[:, 2:] == rows[:, 1:-1]
    repeating |= rows[:, 2:] == rows[:, :-2]
    if repeating.size and repeating.mean() < _REPEATING:
        return False
    chosen = np.arange(len(pixels)) // _TEST_BLOCK % _SAMPLED_BLOCKS == 0
    sampled = pixels[chosen]
    new = new_pixels(sampled)
    green = sampled[..., sampled.shape[2] // 2]
    starts = [np.arange(0, side, _TEST_BLOCK) for side in green.shape]
    brightest = np.maximum.reduceat(np.maximum.reduceat(green, starts[0], 0), starts[1], 1)
    darkest = np.minimum.reduceat(np.minimum.reduceat(green, starts[0], 0), starts[1], 1)
    screen_blocks = (block_sums(new, _TEST_BLOCK) < _NEW_MAX * block_sums(np.ones_like(new), _TEST_BLOCK)) & (
        255 * (brightest - darkest).astype(np.uint32) >= largest * _CONTRAST
    )
    # the first pixel of the smallest pictures is a large share of them
    return bool(screen_blocks.mean() >= _SCREEN_BLOCKS_MIN or new.sum() <= max(1, _PLAIN * new.size))


def colour_entropy(pixels: np.ndarray) -> float:
    """Bits per pixel of the colours of pixels (H, W, 1 or 3) one by one, by a sample of the rows: few where colours are few.

    >>> colour_entropy(np.random.default_rng(1).integers(0, 2, (400, 400, 1), np.uint8)).__round__(2)
    1.0
    """
    _, counts = np.unique(_packed(pixels[::_SAMPLED_ROWS]), return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def new_pixels(pixels: np.ndarray) -> np.ndarray:
    """Marks pixels (H, W, 1 or 3) that equal none of five before them: left, two to the left, above, above left and right."""
    packed = _packed(pixels)
    new = np.ones(packed.shape, bool)
    new[:, 1:] &= packed[:, 1:] != packed[:, :-1]
    new[:, 2:] &= packed[:, 2:] != packed[:, :-2]
    new[1:] &= packed[1:] != packed[:-1]
    new[1:, 1:] &= packed[1:, 1:] != packed[:-1, :-1]
    new[1:, :-1] &= packed[1:, :-1] != packed[:-1, 1:]
    return new


def _packed(pixels: np.ndarray) -> np.ndarray:
    """Packs each pixel in one number, (H, W)."""
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    packed = pixels[..., 0].astype(np.uint32 if pixels.itemsize == 1 else np.uint64)
    for channel in (1, 2):
        packed <<= 8 * pixels.itemsize
        packed |= pixels[..., channel]
    return packed


def block_sums(values: np.ndarray, side: int = BLOCK) -> np.ndarray:
    """Sums values (H, W) over blocks; those at the right and the bottom may be smaller.

    >>> block_sums(np.ones((17, 33), bool), 16).tolist()
    [[256, 256, 16], [16, 16, 1]]
    """
    kind = np.int64 if values.dtype.kind in "bui" else np.float64
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], side), 0, kind)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], side), 1)


def spread_blocks(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Gives each pixel its block's value: (rows, columns, …) to (height, width, …)."""
    return blocks.repeat(BLOCK, 0)[:height].repeat(BLOCK, 1)[:, :width]


def sum_3x3(values: np.ndarray) -> np.ndarray:
    """Sums the 3 x 3 values around each (H, W), with zeros beyond the edges."""
    padded = np.pad(values, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def grow_into(chosen: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Adds to chosen places (H, W) bool all allowed ones that are connected with them side by side.

    >>> grow_into(np.array([[True, False, False, False]]), np.array([[False, True, False, True]])).tolist()
    [[True, True, False, False]]
    """
    count, region = -1, chosen.copy()
    while (new_count := np.count_nonzero(region)) != count:
        count = new_count
        region[1:] |= region[:-1] & allowed[1:]
        region[:-1] |= region[1:] & allowed[:-1]
        region[:, 1:] |= region[:, :-1] & allowed[:, 1:]
        region[:, :-1] |= region[:, 1:] & allowed[:, :-1]
    return region


def extend_unchanged(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Adds to a mask (H, W) bool of whole blocks of pixels (H, W, 1 or 3) those that continue them unchanged.

    These are rows or columns of a neighbouring block, from the border on, that equal the last one of the masked block.

    >>> paper, photograph = np.zeros((8, 11, 1), np.uint8), np.arange(40, dtype=np.uint8).reshape(8, 5, 1)
    >>> extend_unchanged(np.arange(16) < np.full((8, 1), 8), np.hstack([paper, photograph])).sum(1).tolist()
    [11, 11, 11, 11, 11, 11, 11, 11]
    """
    height, width = mask.shape
    beyond = ((0, -height % BLOCK), (0, -width % BLOCK))
    packed, blocks = np.pad(_packed(pixels), beyond, mode="edge"), mask[::BLOCK, ::BLOCK]
    out = spread_blocks(blocks, *packed.shape)
    for turns in range(4):  # the masked block is to the left, above, to the right, below
        turned, marked = np.rot90(packed, turns), np.rot90(blocks, turns)
        cells = turned.reshape(marked.shape[0], BLOCK, marked.shape[1], BLOCK).swapaxes(1, 2)
        same = (cells[:, 1:] == cells[:, :-1, :, -1:]).all(2)
        same &= (marked[:, :-1] & ~marked[:, 1:])[..., None]
        reached = np.logical_and.accumulate(same, 2).reshape(len(marked), -1)
        np.rot90(out, turns)[:, BLOCK:] |= reached.repeat(BLOCK, 0)
    return out[:height, :width]


def fill_hidden(pixels: np.ndarray, hidden: np.ndarray, middle: int = 128) -> np.ndarray:
    """Fills hidden pixels (H, W) bool of (H, W, C) smoothly from those around them, so that they cost few bits.

    In each block they take the mean of the visible ones. Where it has none, they take that of the next larger surroundings
    (pull-push, Gortler et al., 1996, The Lumigraph). Where all are hidden, they are `middle`.
    """
    visible = ~hidden
    count = block_sums(visible).astype(np.float64)
    total = np.stack([block_sums(pixels[..., channel] * visible) for channel in range(pixels.shape[2])], -1).astype(np.float64)
    means = np.rint(_pull_push(total, count, middle)).astype(pixels.dtype)
    out = spread_blocks(means, *hidden.shape)
    np.copyto(out, pixels, where=visible[..., None])
    return out


def _pull_push(total: np.ndarray, count: np.ndarray, middle: int) -> np.ndarray:
    """Divides sums (h, w, C) by counts (h, w); where a count is 0, takes the coarser level's mean."""
    if not count.any():
        return np.full_like(total, middle)
    means = total / np.maximum(count, 1)[..., None]
    if (empty := count == 0).any():
        halves = [np.arange(0, side, 2) for side in count.shape]
        # each cell weighs the same, or one pixel at an edge would count for less than a whole block far away
        coarse = [
            np.add.reduceat(np.add.reduceat(each, halves[0], 0), halves[1], 1)
            for each in (means * ~empty[..., None], ~empty * 1.0)
        ]
        above = _pull_push(*coarse, middle).repeat(2, 0)[: len(count)].repeat(2, 1)[:, : count.shape[1]]
        means[empty] = above[empty]
    return means
