"""Time that passes, also while the host is suspended."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["CLOCKS", "Moment"]


def _clocks() -> tuple[Callable[[], float], ...]:
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is not None:
        return (lambda: time.clock_gettime(boot),)
    # `time.monotonic` may stand still during a suspend; the wall clock does not, but can be set. The one that says that
    # more time has passed decides.
    return (time.monotonic, time.time)


CLOCKS = _clocks()
"""The clocks that are read: `CLOCK_BOOTTIME` where the system has it."""


class Moment:
    """A moment that has passed."""

    def __init__(self) -> None:
        self._clocks = CLOCKS
        self._read = tuple(clock() for clock in self._clocks)

    def elapsed(self) -> float:
        """The seconds since then, by the clock that counted the most."""
        return max(0.0, *(clock() - read for clock, read in zip(self._clocks, self._read)))
