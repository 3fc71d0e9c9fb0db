"""Pictures made large enough for a distance that needs a least size. Imports no torch, so that a command's help is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def extend(picture: Tensor, least: int) -> Tensor:
    """Repeats the last rows and columns of pictures (B, H, W, 3) until their sides have `least` pixels."""
    rows, columns = (max(0, least - side) for side in picture.shape[1:3])
    if not (rows or columns):
        return picture
    from torch.nn import functional

    padded = functional.pad(picture.permute(0, 3, 1, 2), (0, columns, 0, rows), mode="replicate")
    return padded.permute(0, 2, 3, 1)
