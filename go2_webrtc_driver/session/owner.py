"""Whom a session tells what happens: the ROS node, or a test."""

from __future__ import annotations

from typing import Protocol

from ..protocol.decoders import Sample
from ..protocol.messages import Message
from .lasting import Status


class Owner(Protocol):
    """Gets the events of a session, on the loop's thread, which no method may block."""

    def on_open(self) -> None:
        """A link has opened: what was known of the robot is old."""

    def on_sample(self, sample: Sample) -> None:
        """Something came from the robot: a picture, or what a topic carries."""

    def on_response(self, message: Message) -> None:
        """The robot has answered a request."""

    def on_status(self, status: Status) -> None:
        """Something that a person cares about has changed, or a second is over."""

    def on_lost(self, reason: str) -> None:
        """The link was lost, and ``on_link_lost`` says not to reconnect."""

    def on_crash(self, error: BaseException) -> None:
        """A bug has ended the session."""
