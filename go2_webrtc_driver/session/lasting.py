"""What outlives a link, and what the session tells of itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..config import DriverConfig
from ..protocol.faults import RobotFault
from ..protocol.state import LowState, SportModeState
from ..velocity import STOP, Velocity

CAMERA = 'camera'  # the source name of pictures; all others are topics of the robot


@dataclass
class Arrivals:
    """
    What has come from one source on the links so far.

    Attributes:
        count: samples.
        last: when the newest came, on the loop's clock [s].
        rate: how many came in the last second or so [Hz].
    """

    count: int = 0
    last: float = float('-inf')
    rate: float = 0.0


@dataclass
class Lasting:
    """
    What outlives a link: the session keeps it, and hands it to each visit.

    Attributes:
        config: limits, rates and timeouts.
        wanted: the sources that somebody wants.
        damped: the robot was told to go limp; velocities are refused until it stands up.
        halts: how often somebody has asked for stop or damp.
        damps: how often for damp.
        mode: of the robot's motion service, as it has told last; empty: not yet.
        camera_is_broken: a link was given up for missing pictures, and none has come since.
        links: on which the robot was heard.
        dropped: packets that could not be decoded.
        arrivals: what has come, by source.
    """

    config: DriverConfig
    wanted: frozenset[str]
    damped: bool = False
    halts: int = 0
    damps: int = 0
    mode: str = ''
    camera_is_broken: bool = False
    links: int = 0
    dropped: int = 0
    arrivals: dict[str, Arrivals] = field(default_factory=lambda: defaultdict(Arrivals))


@dataclass(frozen=True)
class Stream:
    """
    One source, as it was at the time of its status.

    Attributes:
        count: samples so far.
        rate: of the last second or so [Hz].
        age: of the newest sample [s].
    """

    count: int
    rate: float
    age: float


@dataclass(frozen=True)
class Status:
    """
    The session at one moment; whoever reads it reads nothing else of the session.

    Attributes:
        at: the moment, on the loop's clock [s].
        connected: whether a link is open and the robot has been heard on it.
        reason: why it is not connected; empty if it is.
        away_for: how long it has not been connected [s]; 0 if it is.
        owner_is_stuck: ROS callbacks do not run.
        links: number of links on which the robot has been heard.
        dropped: number of packets that could not be decoded.
        mode: of the robot's motion service; empty: not known.
        damped: the robot was told to go limp.
        motion_trouble: why the robot does not take velocities; empty if it does.
        standstill: why the robot stands although it is told to walk; empty if it does not.
        overdue: ages of the topics that are asked for and do not come [s].
        unreadable: what came lately and could not be decoded, or not all of it.
        commanded: the velocity it is told, before any limit.
        faults: that the robot reports.
        pictures_overdue: for how long [s]; 0 if they come, or nobody wants them.
        streams: by source.
        sport: newest motion state on this link.
        low: newest low state on this link.
    """

    at: float
    connected: bool
    reason: str
    away_for: float
    owner_is_stuck: bool
    links: int
    dropped: int
    mode: str
    damped: bool = False
    motion_trouble: str = ''
    standstill: str = ''
    overdue: Mapping[str, float] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    commanded: Velocity = STOP
    faults: frozenset[RobotFault] = frozenset()
    pictures_overdue: float = 0.0
    streams: Mapping[str, Stream] = field(default_factory=dict)
    sport: SportModeState | None = None
    low: LowState | None = None
