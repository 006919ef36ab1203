"""Faults of the simulated robot, as it reports them: ``[time, source, code]``."""

from __future__ import annotations

from dataclasses import dataclass

LOW_BATTERY = (600, 8)  # "Low battery software protection": unitree_webrtc_connect 2.2.0


@dataclass(frozen=True)
class ReportedFault:
    """
    Something that is wrong with the robot.

    Attributes:
        time: when it appeared [s, the robot's clock].
        source: what part it is of, 100 to 600.
        code: which one; one bit.
    """

    time: int
    source: int
    code: int

    def is_(self, source: int, code: int) -> bool:
        """Tell whether this is the fault ``code`` of ``source``."""
        return (self.source, self.code) == (source, code)

    def as_json(self) -> list[int]:
        """Return the fault as it stands in a message."""
        return [self.time, self.source, self.code]
