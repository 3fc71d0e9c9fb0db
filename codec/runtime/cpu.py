"""Capabilities of the processor."""

import torch


def cpu_has(*capabilities: str) -> bool:
    """True if this CPU has any of these capabilities, by torch's names; False if torch does not tell."""
    available: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(available.get(name) for name in capabilities)
