"""
Every exception the driver raises, with the one place that handles it.

    Go2Error
    ├── ConfigError          on_configure: one error line, FAILURE; the operator edits a parameter
    ├── DecodeError          session: drop the packet, count it, warn once a cycle
    ├── InvalidCommand       cmd_vel callback: drop the Twist, warn (throttled)
    ├── CommandRejected      whoever asked: the robot's code
    └── LinkError            session: reconnect, after the delay in session.reconnect
        ├── LinkUnreachable  no usable answer from the address
        ├── LinkBusy         the robot serves another client (it serves one)
        ├── LinkRefused      the robot did not accept our validation
        └── LinkLost         an open link closed or fell silent
"""

import reprlib

LONGEST_SHOWN = 60  # characters


class Go2Error(Exception):
    """Base class of all errors of this package."""


class ConfigError(Go2Error, ValueError):
    """A parameter has a value the driver cannot work with."""


class DecodeError(Go2Error, ValueError):
    """
    A packet does not have the documented form.

    Attributes:
        topic: robot topic the packet came on; empty if it did not get that far.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f'{plain(topic) or "data channel"}: {reason}')
        self.topic = topic


class InvalidCommand(Go2Error, ValueError):
    """A velocity command from ROS is not one a robot can follow."""


class CommandRejected(Go2Error):
    """
    The robot answered a request with a code other than 0.

    Attributes:
        api_id: request that was rejected.
        code: the robot's status code.
    """

    def __init__(self, api_id: int, code: int) -> None:
        super().__init__(f'request {api_id}: expected status 0, the robot answered {code}')
        self.api_id = api_id
        self.code = code


class LinkError(Go2Error):
    """The WebRTC link could not be opened, or was lost."""


class LinkUnreachable(LinkError):
    """Nothing usable answered at the robot's address."""


class LinkBusy(LinkError):
    """The robot is connected to another client."""


class LinkRefused(LinkError):
    """The robot did not accept the validation of the data channel."""


class LinkLost(LinkError):
    """An open link closed, or no packet came for ``silence_timeout`` seconds."""


def plain(text: str) -> str:
    """Return a text from outside as it may stand in a log: short, in one line, printable."""
    return text[:LONGEST_SHOWN] if text.isprintable() else show(text)


def show(value: object) -> str:
    """Return a short text for any value in a message; how deep it is does not matter."""
    text = reprlib.repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + '...'
