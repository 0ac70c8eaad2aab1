"""How numbers are computed, where bits depend on it: threads, precision, kernels."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def arithmetic(threads: int) -> Iterator[None]:
    """The recipe's threads; on a GPU full float32 and deterministic kernels, as in the papers."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.get_num_threads(), cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32
    torch.set_num_threads(threads)
    cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32 = False, True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32 = before[1:]
