"""Makes the status of a session: what its owner may know of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..protocol.state import LowState, SportModeState
from ..protocol.topics import Topic
from .lasting import Lasting, Status, Stream
from .visit import Visit

SPORT, LOW = Topic.SPORT_MODE_STATE.value, Topic.LOW_STATE.value


class Statuses:
    """
    Knows whether the robot is there, why not and since when, and how fast its data comes.

    Attributes:
        reason: why it is not connected; empty if it is.
    """

    def __init__(self, lasting: Lasting, now: float) -> None:
        """
        Args:
            lasting: what outlives a link.
            now: on the loop's clock [s].
        """
        self.reason = 'connecting'
        self._lasting = lasting
        self._was_connected = False
        self._away_since = self._measured_at = now
        self._counts: dict[str, int] = {}

    def come(self, visit: Visit | None, now: float) -> float | None:
        """Look whether the robot has come or gone; if it has come, return how long it was away."""
        before, self._was_connected = self._was_connected, _is_connected(visit)
        if self._was_connected and not before:
            self.reason = ''
            return now - self._away_since
        if before and not self._was_connected:
            self._away_since, self.reason = now, 'the link has ended'
        return None

    def measure_rates(self, now: float) -> None:
        """Measure how much of each source has come since the last call."""
        elapsed, self._measured_at = now - self._measured_at, now
        for source, arrivals in self._lasting.arrivals.items():
            arrivals.rate = (arrivals.count - self._counts.get(source, 0)) / max(elapsed, 1e-3)
            self._counts[source] = arrivals.count

    def make(self, visit: Visit | None, owner_is_stuck: bool, now: float) -> Status:
        """Return the status at ``now`` [s]."""
        lasting, connected = self._lasting, _is_connected(visit)
        status = Status(
            at=now,
            connected=connected,
            reason='' if connected else self.reason,
            away_for=0.0 if connected else now - self._away_since,
            owner_is_stuck=owner_is_stuck,
            links=lasting.links,
            dropped=lasting.dropped,
            mode=lasting.mode,
            damped=lasting.damped,
            streams={
                source: Stream(each.count, each.rate, now - each.last)
                for source, each in lasting.arrivals.items()
            },
        )
        return status if visit is None else replace(status, **_of_visit(visit))


def _is_connected(visit: Visit | None) -> bool:
    return visit is not None and visit.connected


def _of_visit(visit: Visit) -> dict[str, Any]:
    sport, low = visit.newest.get(SPORT), visit.newest.get(LOW)
    return {
        'motion_trouble': visit.driving.trouble,
        'standstill': visit.driving.standstill,
        'commanded': visit.driving.commanded,
        'faults': visit.faults,
        'pictures_overdue': visit.pictures_overdue,
        'overdue': visit.overdue,
        'unreadable': visit.unreadable,
        'sport': sport if isinstance(sport, SportModeState) else None,
        'low': low if isinstance(low, LowState) else None,
    }
