"""What a session needs of an open link; ``link.Link`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from ..errors import DecodeError
from ..protocol.commands import Command, Request
from ..protocol.decoders import Sample
from ..protocol.messages import Message
from ..velocity import Velocity

Received = Sample | Message | DecodeError


class Frames(Protocol):
    """Where video frames come from."""

    async def get(self) -> Any:
        """Wait for the newest frame and take it."""


class RobotLink(Protocol):
    """An open connection to one robot. Used once; a new connection is a new link."""

    @property
    def robot(self) -> str:
        """What messages call the robot."""

    @property
    def frames(self) -> Frames:
        """Where the pictures come from."""

    def received(self) -> AsyncIterator[Received]:
        """Yield what the robot sends, in order of arrival; end with LinkLost."""

    def subscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic``."""

    def unsubscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic`` no more."""

    def switch_traffic_saving(self, on: bool) -> None:
        """Switch traffic saving: while it is on, the robot sends no lidar maps."""

    def send(self, command: Command) -> None:
        """Send a command without waiting for what the robot says."""

    async def request(self, request: Request, timeout: float) -> Message:
        """Send a request and return the robot's response."""

    async def enable_motion(self) -> None:
        """Make the robot take velocities."""

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""

    def renew_video(self) -> None:
        """Ask anew for pictures that do not come."""

    def move(self, velocity: Velocity) -> None:
        """Send a velocity."""

    def stop(self) -> None:
        """Tell the robot to stop."""

    def stop_again(self) -> None:
        """Tell the robot once more to stop; whatever was lost is sent again at once."""

    async def stop_and_confirm(self) -> None:
        """Tell the robot to stop and wait, bounded, for its confirmation."""
