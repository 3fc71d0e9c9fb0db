"""Architectures of other learned codecs, untrained, for comparing speed alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from codec.runtime import devices
from codec.runtime.threads import thread_count


class GDN(nn.Module):
    """Generalised divisive normalisation, or its inverse (Ballé et al., 2016, arXiv:1511.06281)."""

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.norm = nn.Conv2d(channels, channels, 1)
        nn.init.uniform_(self.norm.weight, 0, 0.01)
        nn.init.ones_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm(x * x)
        return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))


def _down(inside: int, out: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    return nn.Conv2d(inside, out, kernel, stride, kernel // 2)


def _up(inside: int, out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inside, out, 5, 2, 2, output_padding=1)


class MeanScaleHyperprior(nn.Module):
    """The architecture of mbt2018-mean (Minnen et al., 2018, arXiv:1809.02736) with N = 128, M = 192, as in CompressAI
    for its lower rates: networks alone, no entropy coder. Whole pictures in strips, so that memory stays bounded."""

    def __init__(self, device: str, threads: int | None, n: int = 128, m: int = 192) -> None:
        super().__init__()
        activation = nn.LeakyReLU(inplace=True)
        self.analysis = nn.Sequential(_down(3, n), GDN(n), _down(n, n), GDN(n), _down(n, n), GDN(n), _down(n, m))
        self.synthesis = nn.Sequential(_up(m, n), GDN(n, True), _up(n, n), GDN(n, True), _up(n, n), GDN(n, True), _up(n, 3))
        self.hyper_analysis = nn.Sequential(_down(m, n, 3, 1), activation, _down(n, n), activation, _down(n, n))
        self.hyper_synthesis = nn.Sequential(
            _up(n, m), activation, _up(m, m * 3 // 2), activation, _down(m * 3 // 2, 2 * m, 3, 1)
        )
        self.device = devices.choose(device)
        self.threads = thread_count(threads)
        self.to(self.device).eval()

    def macs_per_pixel(self) -> tuple[float, float]:
        """Multiply-accumulates per pixel of encoding and decoding, as torch counts them."""
        side = 256
        with FlopCounterMode(display=False) as encoding:
            strips = self.encode(np.zeros((side, side, 3), np.uint8))
        with FlopCounterMode(display=False) as decoding:
            self.decode(strips)
        return encoding.get_total_flops() / 2 / side**2, decoding.get_total_flops() / 2 / side**2

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> list[tuple[Tensor, Tensor, int]]:
        """Rounded latents and hyper-latents of strips of a picture (H, W, 3) uint8, with the strips' heights."""
        torch.set_num_threads(self.threads)
        return [self._encode_strip(pixels[top : top + 512]) for top in range(0, len(pixels), 512)]

    def _encode_strip(self, pixels: np.ndarray) -> tuple[Tensor, Tensor, int]:
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % 64), (0, -width % 64), (0, 0)), mode="edge")
        x = torch.from_numpy(padded).to(self.device).permute(2, 0, 1)[None].float() / 255
        y = self.analysis(x)
        z = self.hyper_analysis(y).round()
        _, means = self.hyper_synthesis(z).chunk(2, 1)
        return (y - means).round().cpu(), z.cpu(), height

    @torch.inference_mode()
    def decode(self, strips: list[tuple[Tensor, Tensor, int]]) -> np.ndarray:
        """Pixels of what `encode` returned."""
        rows = []
        for y, z, height in strips:
            _, means = self.hyper_synthesis(z.to(self.device)).chunk(2, 1)
            x = self.synthesis(y.to(self.device) + means)[0, :, :height]
            rows.append((x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
        return np.concatenate(rows)
