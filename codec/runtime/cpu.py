"""What this computer's processor can do."""

import torch


def cpu_has(*capabilities: str) -> bool:
    """Whether this CPU has any of these capabilities, by torch's names; False where torch does not tell."""
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name) for name in capabilities)
