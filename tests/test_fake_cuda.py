"""Training's forward pass on CUDA tensors without values, which need no GPU: it finds tensors that stayed on the CPU."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from codec.distortion.distortions import DISTORTIONS
from codec.networks.config import Config
from codec.training.autoencoder import Autoencoder
from codec.training.loss import Objective, measure_losses

SMALL = Config(channels=16, latent_channels=32, hyper_channels=8, entropy_channels=16, leading_channels=8, levels=4)
needs_cuda_build = pytest.mark.skipif(torch.version.cuda is None, reason="needs torch built for CUDA: CompressAI's environment")


@needs_cuda_build
def test_losses_stay_on_the_device():
    # in a process of its own, since functions that keep results would hand such tensors to other tests
    subprocess.run([sys.executable, "-m", __name__], check=True, timeout=300)


@needs_cuda_build
def test_a_tensor_on_the_cpu_is_found():
    with FakeTensorMode():
        pictures = torch.rand(2, 64, 64, 3, device="cuda")
        with pytest.raises(RuntimeError, match="device"):
            pictures + torch.rand(2, 64, 64, 3)


def check_losses() -> None:
    """Estimates the losses of a batch by each way of training."""
    with FakeTensorMode(), torch.device("cuda"):
        model, level = Autoencoder(SMALL), torch.tensor([1.0, 2.0])
        for distortion in ("mse", "eye"):
            for choose in (False, True):
                objective = Objective(DISTORTIONS[distortion], choose=choose)
                losses = measure_losses(model, torch.rand(2, 192, 192, 3), level, objective, compute_dtype=torch.float32)
                assert losses.loss.device.type == "cuda" and losses.loss.shape == (2,)


if __name__ == "__main__":
    check_losses()
