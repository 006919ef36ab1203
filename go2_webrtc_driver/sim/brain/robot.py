"""
The simulated robot: its body, its sport service, and the states it reports.

Pure: time is an argument. Instants are [s] of one clock that never goes back; frames and
units are REP-103's, as the codecs in ``protocol`` want them.
"""

from __future__ import annotations

from ...protocol.actions import MCF
from ...protocol.state import (
    Battery,
    Imu,
    LowState,
    Motor,
    MultipleState,
    RobotPose,
    SportModeState,
)
from ...protocol.topics import Mode, Status
from ..body import battery
from ..body.attitude import Quaternion, to_quaternion
from ..body.body import DAMPED, LYING, MOVE_LASTS, SITTING, STANDING, Body, Posture
from ..world.avoidance import limit_ahead
from .reply import Reply
from .sport import Sport

__all__ = ['DAMPED', 'LYING', 'MOVE_LASTS', 'SITTING', 'STANDING', 'Posture', 'Robot']

STANDING_FORCE = (97.0, 84.0, 81.0, 81.0)  # recorded on a real robot at rest; unit not known
HEAT_OF_JOINT = (0.8, 1.0, 1.0)  # of hip, thigh and calf: share of the heat above idle
VOLUME, BRIGHTNESS = 7, 0  # recorded on a real robot


class Robot(Body):
    """
    A body with a sport service, and its states.

    Attributes:
        sport: the service behind ``rt/api/sport/request``.
        volume: of the loudspeaker, 0 to 10.
        brightness: of the lamp, 0 to 10.
    """

    def __init__(
        self,
        now: float,
        posture: Posture = STANDING,
        mode: str = MCF,
        charge: float = battery.DEFAULT_CHARGE,
    ) -> None:
        """
        Args:
            now: time [s].
            posture: at the origin of ``odom``.
            mode: of its motion, ``mcf`` or ``normal``.
            charge: of its battery, 0 to 1.
        """
        super().__init__(now, posture, charge, limit_ahead)
        self.sport = Sport(self, mode)
        self.volume = VOLUME
        self.brightness = BRIGHTNESS

    def answer(self, api_id: int, parameter: str, now: float) -> Reply:
        """Carry out a sport request at ``now`` [s] and return what the robot answers."""
        return self.sport.answer(api_id, parameter, now)

    def request(self, api_id: int, parameter: str, now: float) -> Status:
        """Carry out a sport request at ``now`` [s] and return the status of the answer."""
        return self.answer(api_id, parameter, now).status

    def sport_mode_state(self, stamp: float) -> SportModeState:
        """Return the sport state; ``stamp`` is the robot's clock [s]."""
        x, y, _ = self.velocity
        feet, speeds = self.feet, self.foot_speeds()
        return SportModeState(
            stamp=stamp,
            error_code=100,
            mode=self._mode,
            gait_type=self.sport.gait if self.walking else 0,
            body_height=self.pose.z,
            position=(self.pose.x, self.pose.y, self.pose.z),
            velocity=(x, y, self.climb),
            yaw_speed=self.yaw_rate,
            imu=self._imu(),
            progress=self.progress,
            foot_raise_height=self.foot_raise if self.walking else 0.0,
            foot_position_body=tuple(at for foot in feet for at in foot.position),
            foot_speed_body=tuple(along for speed in speeds for along in speed),
        )

    def robot_pose(self, stamp: float) -> RobotPose:
        """Return the pose the lidar's odometry reports; ``stamp`` as above."""
        return RobotPose(stamp, (self.pose.x, self.pose.y, self.pose.z), self.orientation)

    def low_state(self) -> LowState:
        """Return motors, battery and feet."""
        roll, pitch, _ = self.lean
        pack = self.battery
        return LowState(
            rpy=(roll, pitch, self.pose.yaw),
            motors=tuple(self._motor(index, at) for index, at in enumerate(self.joints)),
            battery=Battery(pack.charge, pack.current, 56, (30.0, 29.0, 33.0, 32.0)),
            voltage=pack.voltage,
            temperature=48.0,
            foot_force=self.foot_force,
        )

    def multiple_state(self) -> MultipleState:
        """Return the settings of lamp, loudspeaker and avoidance."""
        return MultipleState(self.brightness, self.volume, self.avoids, uwb=True)

    @property
    def orientation(self) -> Quaternion:
        """Of the body in ``odom``: x, y, z, w."""
        roll, pitch, _ = self.lean
        return to_quaternion(roll, pitch, self.pose.yaw)

    @property
    def foot_force(self) -> tuple[float, ...]:
        """What the feet carry, FR FL RR RL, in the wire's unit: the feet on the floor share it."""
        shares = [f * foot.on_floor for f, foot in zip(STANDING_FORCE, self.feet, strict=True)]
        carried = sum(STANDING_FORCE) * self.standing
        return tuple(float(round(carried * share / sum(shares))) for share in shares)

    @property
    def _mode(self) -> Mode:
        if self.gesture is not None:
            return self.gesture.mode
        return Mode.LOCOMOTION if self.walking else self.posture.mode

    def _imu(self) -> Imu:
        roll, pitch, _ = self.lean
        return Imu(
            orientation=self.orientation,
            angular_velocity=self.angular_velocity,
            linear_acceleration=self.specific_force,
            rpy=(roll, pitch, self.pose.yaw),
            temperature=79.0,
        )

    def _motor(self, index: int, angle: float) -> Motor:
        heat = (self.heat - battery.IDLE_HEAT) * HEAT_OF_JOINT[index % 3]
        return Motor(angle, float(round(battery.IDLE_HEAT + heat)), 0)
