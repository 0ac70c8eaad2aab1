"""Running a network in double precision, whatever it was written for."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def doubled(given: Tensor) -> Tensor:
    """Real numbers in double precision; whole ones, such as indices, as they are."""
    return given.double() if given.is_floating_point() else given


_CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)


class _Uncast(TorchFunctionMode):
    """Networks that say which precision they compute in are asked in double precision too."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # noqa: ANN204
        kwargs = kwargs or {}
        if function in _CASTS and args[0].dtype == torch.float64:
            return args[0]
        if function is Tensor.to and args[0].dtype == torch.float64:
            args = tuple(torch.float64 if _is_real(part) else part for part in args)
            kwargs = {n: torch.float64 if _is_real(part) else part for n, part in kwargs.items()}
        return function(*args, **kwargs)


def _is_real(part: Any) -> bool:
    return isinstance(part, torch.dtype) and part.is_floating_point


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Run a network that was made one of double precision, whatever it asks for itself."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Uncast():
            yield
    finally:
        torch.set_default_dtype(before)
