"""What becomes of memory that a training has freed."""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = (2**30, 2**25)  # bytes; some versions of the C library take no more than the second


@cache
def keep_freed() -> None:
    """Keep it for the next step, instead of giving it back to the system and asking for it again.

    Every step of a training frees its activations, and needs as many in the next: where they are
    large, fetching fresh pages takes up to half of the time of a step on a CPU. It holds until the
    process ends. Where the C library is another than GNU's, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        any(mallopt(parameter, size) for size in _LARGEST)
