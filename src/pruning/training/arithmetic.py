"""How numbers are computed, where bits depend on it: threads, precision, kernels."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def arithmetic(threads: int, precision: str = "float32") -> Iterator[None]:
    """Deterministic kernels on so many threads; on a GPU full float32, as in the papers, or not.

    Args:
        threads: of the CPU.
        precision: of the recipe. ``tf32`` lets a GPU round what it multiplies to 10 bits; on a CPU
            it is float32.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.get_num_threads(), cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32
    torch.set_num_threads(threads)
    rounded = precision == "tf32"
    cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32 = rounded, True, rounded
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32 = before[1:]


def forward_pass(precision: str, device: torch.device) -> torch.autocast:
    """What a forward pass and its loss run under: ``bfloat16`` casts layers, not losses.

    Weights, gradients, optimizer and batch-norm statistics stay float32. Backward passes and
    updates belong outside.

    Args:
        precision: of the recipe.
        device: where the network is.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
