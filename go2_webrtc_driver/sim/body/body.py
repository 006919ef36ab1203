"""
The simulated robot's body: commands in, motion out. Pure: time is an argument.

Instants are [s] of one clock that never goes back; frames and units are REP-103's. The
body walks through walls unless avoidance is on, and its camera and lidar stay level: a
lean shows in the inertial unit and in the legs alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ...protocol.topics import Mode
from ..pose import Pose
from . import attitude, battery, legs, trot
from .battery import Load, Pack
from .trot import LYING_HEIGHT, STAND_HEIGHT, Foot, Velocity

Vector = tuple[float, float, float]

MOVE_LASTS = 1.0  # s; the vendor's notice for firmware 1.1.6
RESPONSE_TIME = 0.1  # s, in which the body's speed follows the command by 63 %
LEAN_TIME = 0.15  # s, likewise of roll, pitch and twist
RISE_SPEED = 0.6  # m/s, of standing up and lying down
RISE_ACCELERATION = 3.0  # m/s^2
STEP = 0.005  # s, of the integration
STILL = 1e-4  # m/s and rad: what is slower or nearer than that stands still, or is there
GRAVITY = 9.81  # m/s^2
LIMITS = (3.8, 1.0, 4.0)  # m/s, m/s, rad/s (vendor's documentation of Move)
LEAN_LIMITS = (0.75, 0.75, 0.6)  # rad (vendor's documentation of Euler)
REST = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Posture:
    """What a posture means: height of the body [m], mode it reports, whether it can walk."""

    height: float
    mode: Mode
    can_walk: bool = False


STANDING = Posture(STAND_HEIGHT, Mode.BALANCE_STAND, can_walk=True)
LOCKED = Posture(STAND_HEIGHT, Mode.JOINT_LOCK, can_walk=True)
LYING = Posture(LYING_HEIGHT, Mode.LIE_DOWN)
SITTING = Posture(0.20, Mode.SIT)
DAMPED = Posture(LYING_HEIGHT, Mode.DAMPING)


@dataclass(frozen=True)
class Gesture:
    """A motion on the spot: how long it takes [s], and the mode it reports."""

    duration: float
    mode: Mode = Mode.POSE


class Body:
    """
    Planar kinematics of a walking robot, its legs, its battery and its heat.

    Attributes:
        pose: of the body in ``odom``.
        velocity: of the body along its x and y, and about z [m/s, m/s, rad/s].
        posture: what it does with its legs.
        lean: roll, pitch and twist of the body against its feet [rad]; the twist is
            part of the pose's yaw.
        battery: its pack.
        heat: of its motors [degree Celsius].
        avoids: whether walking that asks for it keeps a distance from obstacles ahead.
        height_offset: of the standing body against its normal height [m].
        foot_raise: height of its steps [m].
    """

    def __init__(
        self,
        now: float,
        posture: Posture = STANDING,
        charge: float = battery.DEFAULT_CHARGE,
        limit_ahead: Callable[[float, Pose], float] = lambda speed, pose: speed,
    ) -> None:
        """
        Put the robot at the origin of ``odom`` in ``posture`` at time ``now`` [s].

        ``limit_ahead`` says how much of a forward speed [m/s] avoidance allows at a pose.
        """
        self._limit_ahead = limit_ahead
        self.posture = posture
        self.pose = Pose(z=posture.height)
        self.velocity: Velocity = REST
        self.lean: Vector = REST
        self.battery = Pack(charge)
        self.heat = battery.STANDING_HEAT if posture.can_walk else battery.IDLE_HEAT
        self.avoids = False
        self.height_offset = 0.0
        self.foot_raise = trot.FOOT_RAISE
        self._acceleration: Vector = REST
        self._climb = 0.0
        self._lean_rates: Vector = REST
        self._lean_target: Vector = REST
        self._target: Velocity = REST
        self._target_ends = now
        self._target_avoids = False
        self._gesture: Gesture | None = None
        self._gesture_began = now
        self._phase = 0.0
        self._now = now
        self.battery.drain(self._load, 0.0)

    def walk(self, velocity: Velocity, avoiding: bool = False) -> bool:
        """
        Walk at ``velocity`` [m/s, m/s, rad/s] for a second; return whether it can.

        Args:
            velocity: cut to what the robot can do.
            avoiding: stop before obstacles, if avoidance is on.
        """
        if not self.posture.can_walk or self.gesture is not None:
            return False
        x, y, yaw = (max(-top, min(top, v)) for v, top in zip(velocity, LIMITS, strict=True))
        self._target = x, y, yaw
        self._target_ends = self._now + MOVE_LASTS
        self._target_avoids = avoiding
        return True

    def halt(self) -> None:
        """Stop walking and end a gesture."""
        self._target_ends = self._now
        self._gesture = None

    def take(self, posture: Posture) -> None:
        """Halt, and go to a posture, with the body level."""
        self.halt()
        self.posture = posture
        self._lean_target = REST

    def begin(self, gesture: Gesture) -> bool:
        """Make a gesture on the spot; return whether the robot can, now."""
        if not self.posture.can_walk or self.gesture is not None:
            return False
        self.halt()
        self._gesture, self._gesture_began = gesture, self._now
        return True

    def tilt(self, lean: Vector) -> bool:
        """Lean by roll, pitch and twist [rad], cut to the limits; return whether it can."""
        if not self.posture.can_walk:
            return False
        roll, pitch, twist = (
            max(-top, min(top, angle)) for angle, top in zip(lean, LEAN_LIMITS, strict=True)
        )
        self._lean_target = roll, pitch, twist
        return True

    def advance(self, now: float) -> None:
        """Let time pass up to ``now`` [s]."""
        while self._now < now:
            left = now - self._now
            last = left < 1.5 * STEP or self._rests
            step = left if last else STEP
            self._now = now if last else self._now + step
            self._integrate(step)

    @property
    def walking(self) -> bool:
        """Whether the body moves faster than it sways."""
        return max(map(abs, self.velocity)) > 0.02

    @property
    def gesture(self) -> Gesture | None:
        """The gesture it makes, if any."""
        if self._gesture is not None and self.progress >= 1.0:
            self._gesture = None
        return self._gesture

    @property
    def progress(self) -> float:
        """How much of its gesture is done, 0 to 1; 0 without one."""
        if self._gesture is None:
            return 0.0
        return min(1.0, (self._now - self._gesture_began) / self._gesture.duration)

    @property
    def standing(self) -> float:
        """How much of the body's weight the legs carry: 1 upright, 0 on the belly."""
        return max(0.0, min(1.0, (self.pose.z - LYING_HEIGHT) / (STAND_HEIGHT - LYING_HEIGHT)))

    @property
    def climb(self) -> float:
        """How fast the body rises [m/s]."""
        return self._climb

    @property
    def yaw_rate(self) -> float:
        """How fast the body turns about the vertical, walking and twisting [rad/s]."""
        return self.velocity[2] + self._lean_rates[2]

    @property
    def angular_velocity(self) -> Vector:
        """What its gyroscope feels [rad/s]."""
        roll, pitch, _ = self.lean
        rates = (self._lean_rates[0], self._lean_rates[1], self.yaw_rate)
        return attitude.angular_velocity(roll, pitch, rates)

    @property
    def specific_force(self) -> Vector:
        """What its accelerometer feels: acceleration against gravity, body frame [m/s^2]."""
        x, y, _ = self.velocity
        ax, ay, az = self._acceleration
        level = (ax - self.yaw_rate * y, ay + self.yaw_rate * x, az + GRAVITY)
        return attitude.to_body(self.lean[0], self.lean[1], level)

    @property
    def feet(self) -> list[Foot]:
        """Its feet, FR FL RR RL, in ``base_link``."""
        return self._feet_at(self._phase)

    def foot_speeds(self, span: float = 1e-3) -> list[Vector]:
        """Return the velocities of the feet in ``base_link``, over ``span`` [s] [m/s]."""
        later = self._feet_at(self._phase + span / trot.period(self.velocity) * self.walking)
        return [
            ((b.position[0] - a.position[0]) / span, (b.position[1] - a.position[1]) / span,
             (b.position[2] - a.position[2]) / span)
            for a, b in zip(self.feet, later, strict=True)
        ]  # fmt: skip

    @property
    def joints(self) -> list[float]:
        """Its twelve joint angles in the wire's order [rad]."""
        return [
            angle
            for leg, foot in enumerate(self.feet)
            for angle in legs.joint_angles(leg, foot.position)
        ]

    def _feet_at(self, phase: float) -> list[Foot]:
        found = trot.feet(phase, self.velocity, self.pose.z, self.foot_raise)
        return [Foot(self._into_body(foot.position), foot.on_floor) for foot in found]

    def _into_body(self, spot: Vector) -> Vector:
        """Return a spot of the level frame of the feet in ``base_link``."""
        roll, pitch, twist = self.lean
        cos, sin = math.cos(twist), math.sin(twist)
        x, y, z = spot
        return attitude.to_body(roll, pitch, (cos * x + sin * y, cos * y - sin * x, z))

    @property
    def _load(self) -> Load:
        return Load(self.standing, trot.speed_of_feet(self.velocity))

    @property
    def _height(self) -> float:
        return self.posture.height + (self.height_offset if self.posture.can_walk else 0.0)

    @property
    def _rests(self) -> bool:
        moving = (*self.velocity, *self._acceleration, *self._lean_rates, self._climb)
        arrived = self.lean == self._lean_target and self.pose.z == self._height
        return self._now >= self._target_ends and arrived and not any(moving)

    def _integrate(self, step: float) -> None:
        self._accelerate(step)
        self._lean_on(step)
        height = self._rise(step)
        x, y, _ = self.velocity
        turned = self.yaw_rate * step
        middle = self.pose.yaw + turned / 2
        self.pose = Pose(
            self.pose.x + (x * math.cos(middle) - y * math.sin(middle)) * step,
            self.pose.y + (x * math.sin(middle) + y * math.cos(middle)) * step,
            height,
            math.remainder(self.pose.yaw + turned, math.tau),
        )
        if self.walking:
            self._phase = (self._phase + step / trot.period(self.velocity)) % 1.0
        load = self._load
        self.battery.drain(load, step)
        self.heat = battery.warmed(self.heat, load, step)

    def _accelerate(self, step: float) -> None:
        target = self._target if self._now < self._target_ends else REST
        if self.avoids and self._target_avoids:
            target = self._limit_ahead(target[0], self.pose), target[1], target[2]
        before = self.velocity
        pairs = zip(before, target, strict=True)
        x, y, yaw = (_follow(*pair, step / RESPONSE_TIME) for pair in pairs)
        self.velocity = x, y, yaw
        self._acceleration = (x - before[0]) / step, (y - before[1]) / step, 0.0

    def _lean_on(self, step: float) -> None:
        pairs = zip(self.lean, self._lean_target, strict=True)
        roll, pitch, twist = (_follow(*pair, step / LEAN_TIME) for pair in pairs)
        before, self.lean = self.lean, (roll, pitch, twist)
        self._lean_rates = (
            (roll - before[0]) / step, (pitch - before[1]) / step, (twist - before[2]) / step,
        )  # fmt: skip

    def _rise(self, step: float) -> float:
        """Come closer to the posture's height, softly; return the new height [m]."""
        left = self._height - self.pose.z
        before = self._climb
        braking = math.sqrt(2 * RISE_ACCELERATION * abs(left))
        speed = min(RISE_SPEED, braking, abs(before) + RISE_ACCELERATION * step)
        arrives = speed * step >= abs(left)
        self._climb = 0.0 if arrives else math.copysign(speed, left)
        vertical = (self._climb - before) / step
        self._acceleration = (*self._acceleration[:2], vertical)
        return self._height if arrives else self.pose.z + self._climb * step


def _follow(value: float, target: float, share: float) -> float:
    """Return ``value`` after a time of ``share`` time constants on its way to ``target``."""
    after = target + (value - target) * math.exp(-share)
    return target if abs(after - target) < STILL else after
