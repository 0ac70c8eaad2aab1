"""Side by side: jobs that take turns in one process, so that all see the same machine."""

import time
from collections.abc import Callable, Collection, Mapping


def take_turns(
    jobs: Mapping[str, Callable[[], None]], rounds: int, cold: Collection[str] = ()
) -> dict[str, list[float]]:
    """CPU seconds of every job in each round; other work on the machine does not count.

    Args:
        jobs: by name.
        rounds: that are measured; one before warms up.
        cold: jobs that are left out of the warm-up: long ones that warm themselves up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            if number == 0 and name in cold:
                continue
            started = time.process_time()
            job()
            if number:
                seconds[name].append(time.process_time() - started)
    return seconds
