"""What kind of robot is simulated."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol import offer_answer as signaling
from ..protocol.actions import MCF
from .body import battery
from .brain.robot import STANDING, Posture


@dataclass(frozen=True)
class Options:
    """
    What kind of robot this is.

    Attributes:
        ip: address it listens on.
        scheme: ``data2`` of its signaling, 1, 2 or 3.
        device_key: its 16 bytes for scheme 3.
        low_state_rate: of ``rt/lf/lowstate`` [Hz].
        posture: how it is found.
        validates: False: it never accepts a client's validation.
        serial_number: its own.
        old_signaling: it has the signaling of before 1.1.11 and no other.
        relay_only: it offers candidates of a TURN server alone: no direct path leads to it.
        ignores_untargeted: it answers only a discovery that names it, as newer firmware.
        mode: of its motion, ``mcf`` (firmware 1.1.7 and later) or ``normal``.
        battery: state of charge it is found with, 0 to 1.
    """

    ip: str = '127.0.0.1'
    scheme: int = 2
    device_key: bytes = bytes(16)
    low_state_rate: float = 1.0
    posture: Posture = STANDING
    validates: bool = True
    serial_number: str = 'B42D1000SIM00001'
    old_signaling: bool = False
    relay_only: bool = False
    ignores_untargeted: bool = False
    mode: str = MCF
    battery: float = battery.DEFAULT_CHARGE

    @property
    def port(self) -> int:
        """Where its signaling listens."""
        return signaling.OLD_PORT if self.old_signaling else signaling.PORT
