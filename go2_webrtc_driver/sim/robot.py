"""
The simulated robot's body: requests in, states out. Pure: time is an argument.

Instants are [s] of one clock that never goes back; frames and units are REP-103's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol.state import (
    Battery,
    Imu,
    LowState,
    Motor,
    MultipleState,
    RobotPose,
    SportModeState,
)
from ..protocol.topics import Mode, SportApi, Status
from .pose import Pose

MOVE_LASTS = 1.0  # s; the vendor's notice for firmware 1.1.6
RESPONSE_TIME = 0.1  # s, in which the body's speed follows the command by 63 %
RISE_SPEED = 0.6  # m/s, of standing up and lying down
STEP = 0.005  # s, of the integration
GRAVITY = 9.81  # m/s^2
LIMITS = (3.8, 1.0, 4.0)  # m/s, m/s, rad/s (vendor's documentation of Move)
STANDING_JOINTS = (0.0, 0.8, -1.5)  # rad: hip, thigh, calf
LYING_JOINTS = (0.0, 1.36, -2.65)


@dataclass(frozen=True)
class Posture:
    """What a posture means: height of the body [m], mode it reports, whether it can walk."""

    height: float
    mode: Mode
    can_walk: bool = False


STANDING = Posture(0.32, Mode.BALANCE_STAND, can_walk=True)
LYING = Posture(0.08, Mode.LIE_DOWN)
SITTING = Posture(0.20, Mode.SIT)
DAMPED = Posture(0.08, Mode.DAMPING)

_POSTURE_AFTER: Mapping[int, Posture] = {
    SportApi.DAMP: DAMPED,
    SportApi.BALANCE_STAND: STANDING,
    SportApi.STAND_UP: STANDING,
    SportApi.STAND_DOWN: LYING,
    SportApi.RECOVERY_STAND: STANDING,
    SportApi.SIT: SITTING,
    SportApi.RISE_SIT: STANDING,
}
_GESTURES = {
    SportApi.HELLO, SportApi.STRETCH, SportApi.CONTENT, SportApi.DANCE1, SportApi.DANCE2,
    SportApi.SCRAPE, SportApi.FINGER_HEART, SportApi.POSE, SportApi.EULER,
    SportApi.SPEED_LEVEL, SportApi.SWITCH_JOYSTICK,
}  # fmt: skip


class Robot:
    """
    Planar kinematics of a walking robot, and the states it reports.

    Attributes:
        pose: of the body in ``odom``.
        velocity: of the body along its x and y, and about z [m/s, m/s, rad/s].
        posture: what it does with its legs.
    """

    def __init__(self, now: float, posture: Posture = STANDING) -> None:
        """Put the robot at the origin of ``odom`` in ``posture`` at time ``now`` [s]."""
        self.posture = posture
        self.pose = Pose(z=posture.height)
        self.velocity = (0.0, 0.0, 0.0)
        self._acceleration = (0.0, 0.0)
        self._target = (0.0, 0.0, 0.0)
        self._target_ends = now
        self._now = now
        self._started = now
        self._walked = 0.0

    def request(self, api_id: int, parameter: str, now: float) -> Status:
        """Carry out a sport request and return the status the robot answers with."""
        self.advance(now)
        if api_id == SportApi.MOVE:
            return self._move(parameter)
        if api_id == SportApi.STOP_MOVE:
            self._target_ends = now
            return Status.OK
        if api_id in _POSTURE_AFTER:
            self.posture = _POSTURE_AFTER[api_id]
            self._target_ends = now
            return Status.OK
        if api_id in _GESTURES:
            return Status.OK if self.posture.can_walk else Status.SPORT_ERROR
        return Status.API_NOT_IMPLEMENTED

    def advance(self, now: float) -> None:
        """Let time pass up to ``now`` [s]."""
        while self._now < now:
            step = min(STEP, now - self._now)
            self._now += step
            self._integrate(step)

    def _move(self, parameter: str) -> Status:
        target = _parse_move(parameter)
        if target is None:
            return Status.BAD_PARAMETER
        if not self.posture.can_walk:
            return Status.SPORT_ERROR
        self._target = target
        self._target_ends = self._now + MOVE_LASTS
        return Status.OK

    def _integrate(self, step: float) -> None:
        target = self._target if self._now < self._target_ends else (0.0, 0.0, 0.0)
        share = 1.0 - math.exp(-step / RESPONSE_TIME)
        before = self.velocity
        vx, vy, yaw_rate = (v + (t - v) * share for v, t in zip(before, target, strict=True))
        self.velocity = vx, vy, yaw_rate
        self._acceleration = (vx - before[0]) / step, (vy - before[1]) / step
        yaw = self.pose.yaw + yaw_rate * step
        middle = self.pose.yaw + yaw_rate * step / 2
        climb = max(-RISE_SPEED * step, min(RISE_SPEED * step, self.posture.height - self.pose.z))
        self.pose = Pose(
            self.pose.x + (vx * math.cos(middle) - vy * math.sin(middle)) * step,
            self.pose.y + (vx * math.sin(middle) + vy * math.cos(middle)) * step,
            self.pose.z + climb,
            math.remainder(yaw, math.tau),
        )
        self._walked += math.hypot(vx, vy) * step + 0.2 * abs(yaw_rate) * step

    @property
    def walking(self) -> bool:
        """Whether the body moves faster than it sways."""
        return max(map(abs, self.velocity)) > 0.02

    def sport_mode_state(self, stamp: float) -> SportModeState:
        """Return the sport state; ``stamp`` is the robot's clock [s]."""
        x, y, yaw_rate = self.velocity
        return SportModeState(
            stamp=stamp,
            error_code=100,
            mode=Mode.LOCOMOTION if self.walking else self.posture.mode,
            gait_type=1 if self.walking else 0,
            body_height=self.pose.z,
            position=(self.pose.x, self.pose.y, self.pose.z),
            velocity=(x, y, 0.0),
            yaw_speed=yaw_rate,
            imu=Imu(
                orientation=self.pose.quaternion,
                angular_velocity=(0.0, 0.0, yaw_rate),
                linear_acceleration=(
                    self._acceleration[0] - yaw_rate * y,
                    self._acceleration[1] + yaw_rate * x,
                    GRAVITY,
                ),
                rpy=(0.0, 0.0, self.pose.yaw),
                temperature=79.0,
            ),
        )

    def robot_pose(self, stamp: float) -> RobotPose:
        """Return the pose the lidar's odometry reports; ``stamp`` as above."""
        return RobotPose(stamp, (self.pose.x, self.pose.y, self.pose.z), self.pose.quaternion)

    def low_state(self) -> LowState:
        """Return motors, battery and feet."""
        hours = (self._now - self._started) / 3600.0
        charge = max(0.05, 0.95 - 0.5 * hours)
        standing = max(0.0, min(1.0, (self.pose.z - 0.08) / 0.24))
        return LowState(
            rpy=(0.0, 0.0, self.pose.yaw),
            motors=tuple(self._motor(index, standing) for index in range(12)),
            battery=Battery(charge, -2.5 - 4.0 * self.walking, 56, (30.0, 29.0, 33.0, 32.0)),
            voltage=25.0 + 8.0 * charge,
            temperature=48.0,
            foot_force=tuple(85.0 * standing * self._load(leg) for leg in range(4)),
        )

    def multiple_state(self) -> MultipleState:
        """Return the settings of light, speaker and avoidance."""
        return MultipleState(brightness=0, volume=7, obstacle_avoidance=False, uwb=True)

    def _swing(self, leg: int) -> float:
        """Return where ``leg`` (FR FL RR RL) is in its trot, -1 to 1; 0 when standing."""
        diagonal = 0.0 if leg in (0, 3) else math.pi
        return math.sin(self._walked / 0.3 * math.tau + diagonal) if self.walking else 0.0

    def _load(self, leg: int) -> float:
        return 1.0 - max(0.0, self._swing(leg))

    def _motor(self, index: int, standing: float) -> Motor:
        leg, joint = divmod(index, 3)
        angle = LYING_JOINTS[joint] + (STANDING_JOINTS[joint] - LYING_JOINTS[joint]) * standing
        sway = (0.0, 0.2, -0.2)[joint] * self._swing(leg)
        return Motor(angle + sway, 40.0, 0)


def _parse_move(parameter: str) -> tuple[float, float, float] | None:
    """Return the three speeds of a Move within the robot's limits, or None."""
    try:
        content: Any = json.loads(parameter)
        speeds = [float(content[axis]) for axis in 'xyz']
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not all(map(math.isfinite, speeds)):
        return None
    x, y, yaw = (max(-top, min(top, value)) for value, top in zip(speeds, LIMITS, strict=True))
    return x, y, yaw
