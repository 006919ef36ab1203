"""
Stamps of the messages: the time of arrival, in ROS time, and never backwards.

The robot's own stamps cannot be used: that of the voxel map has steps of 1000 s, others
jump or stand still (dimos pull requests 2021 and 2123). How long data is on its way has
not been measured on a robot, so nothing is taken off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from builtin_interfaces.msg import Time

from ..complaints import Complaints

logger = logging.getLogger(__name__)

LARGEST_STEP_BACK = 1_000_000_000  # ns; beyond, the clock was set, and is followed


class Stamps:
    """The next stamp of each source."""

    def __init__(self, now: Callable[[], int]) -> None:
        """
        Args:
            now: ROS time [ns].
        """
        self._now = now
        self._last: dict[str, int] = {}
        self._complaints = Complaints(logger)

    def next(self, source: str) -> Time:
        """Return the time now, or just after the last stamp if the clock went back a little."""
        now, last = self._now(), self._last.get(source, 0)
        if not now:
            self._complaints.warn(
                'ROS time is 0: use_sim_time is set, but nothing comes on /clock'
            )
        stamp = last + 1 if 0 <= last - now < LARGEST_STEP_BACK else now
        self._last[source] = stamp
        return Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)


def age(stamp: Time, now: int) -> float:
    """Return the age [s] of a stamp at ``now`` [ns]; 0 for a stamp that is not set (zeros)."""
    sent = to_nanoseconds(stamp)
    return (now - sent) * 1e-9 if sent else 0.0


def to_nanoseconds(stamp: Time) -> int:
    """Return a stamp as nanoseconds."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)
