"""
What the simulated robot sends again and again: every topic, its rate and its next message.

Rates: 20 Hz, 18.7 Hz, 7.3 Hz and 1 Hz were measured by others on real robots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...protocol import messages, state
from ...protocol import voxel_map as voxels
from ...protocol.messages import build_message
from ...protocol.topics import MessageType, Topic
from ..brain import reports
from ..brain.apis import Services
from ..brain.robot import Robot
from ..world import lidar

SPORT_STATE_RATE, POSE_RATE, SLOW_RATE, VOXEL_MAP_RATE = 20.0, 19.0, 1.0, 7.3  # Hz

Clock = Callable[[], float]


class Stream(NamedTuple):
    """A rate [Hz], and what makes the next message; None: there is none now."""

    rate: float
    make: Callable[[], str | bytes | None]


def texts(
    robot: Robot, services: Services, low_state_rate: float, clock: Clock = time.time
) -> Mapping[str, Stream]:
    """
    Return the streams of text by topic.

    Args:
        robot: whose states are told.
        services: likewise.
        low_state_rate: of the low state [Hz].
        clock: the robot's [s].
    """
    made: Mapping[Topic, tuple[float, Callable[[], Any]]] = {
        Topic.SPORT_MODE_STATE: (
            SPORT_STATE_RATE,
            lambda: state.encode_sport_mode_state(robot.sport_mode_state(clock())),
        ),
        Topic.LOW_STATE: (low_state_rate, lambda: state.encode_low_state(robot.low_state())),
        Topic.ROBOT_POSE: (POSE_RATE, lambda: state.encode_robot_pose(robot.robot_pose(clock()))),
        Topic.MULTIPLE_STATE: (
            SLOW_RATE,
            lambda: state.encode_multiple_state(robot.multiple_state()),
        ),
        Topic.SERVICE_STATE: (
            SLOW_RATE,
            lambda: state.encode_service_state(reports.services(robot.sport.mode)),
        ),
        Topic.LIDAR_STATE: (
            SLOW_RATE,
            lambda: state.encode_lidar_state(reports.lidar(services.lidar_on, clock())),
        ),
    }
    return {topic.value: Stream(rate, _text(topic, make)) for topic, (rate, make) in made.items()}


def voxel_map(robot: Robot, clock: Clock = time.time) -> bytes:
    """Return the next frame of the voxel map; ``clock`` as above."""
    occupied, origin = lidar.scan(robot.pose)
    header, payload = voxels.encode_voxels(occupied, origin, lidar.RESOLUTION, clock())
    return messages.build_frame(Topic.VOXEL_MAP.value, header, payload)


def _text(topic: Topic, make: Callable[[], Any]) -> Callable[[], str]:
    return lambda: build_message(MessageType.MESSAGE, topic.value, make())
