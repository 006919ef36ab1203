"""
The trot: where the feet are, and what they carry, as a function of phase and velocity.

A foot on the floor stays where it is in ``odom``; in the body's frame it follows the arc
that the body's motion makes of that. Diagonal legs step together. The beat, the share of
the time on the floor and the height of a step are ours: a real robot's are not known.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

from .legs import FRONT, HIP_LENGTH, HIP_X, HIP_Y, LEFT, LEGS, Vector

Velocity = tuple[float, float, float]  # forward, left [m/s], counterclockwise [rad/s]

PERIOD = 0.5  # s, of a slow trot
STANCE = 0.6  # share of the period that a foot is on the floor
LONGEST_STRIDE = 0.24  # m; beyond it the legs step faster
FULL_STEP_SPEED = 0.2  # m/s, from which feet are raised to the full
FOOT_RAISE = 0.09  # m, of a step above the floor (vendor's documentation of FootRaiseHeight)
STAND_HEIGHT, LYING_HEIGHT = 0.32, 0.08  # m, of the body
LYING_SHIFT = 0.06  # m, of the feet to the front when the body lies: the calf cannot fold more
PHASE_OF_LEG = (0.0, 0.5, 0.5, 0.0)


@dataclass(frozen=True)
class Foot:
    """
    One foot.

    Attributes:
        position: in the level frame of the body, its origin in the body's middle [m].
        on_floor: 1 on the floor, 0 in the middle of a full step.
    """

    position: Vector
    on_floor: float


def speed_of_feet(velocity: Velocity) -> float:
    """Return the speed of the fastest foot relative to the body [m/s]."""
    return max(abs(_drift(_neutral(leg, STAND_HEIGHT), velocity)) for leg in LEGS)


def period(velocity: Velocity) -> float:
    """Return the time of one step of all legs [s]."""
    fastest = speed_of_feet(velocity)
    return PERIOD if fastest == 0.0 else min(PERIOD, LONGEST_STRIDE / fastest / STANCE)


def feet(phase: float, velocity: Velocity, height: float, foot_raise: float) -> list[Foot]:
    """
    Return the four feet.

    Args:
        phase: of the trot, a whole number at every touch-down of FR and RL.
        velocity: of the body; feet do not step where it is zero.
        height: of the body above the floor [m].
        foot_raise: height of a full step [m].
    """
    activity = min(1.0, speed_of_feet(velocity) / FULL_STEP_SPEED)
    time_on_floor = period(velocity) * STANCE
    return [
        _foot((phase + PHASE_OF_LEG[leg]) % 1.0, leg, velocity, height, time_on_floor,
              foot_raise, activity)
        for leg in LEGS
    ]  # fmt: skip


def _foot(
    phase: float,
    leg: int,
    velocity: Velocity,
    height: float,
    time_on_floor: float,
    foot_raise: float,
    activity: float,
) -> Foot:
    neutral = _neutral(leg, height)
    if phase < STANCE:
        spot = _spot(neutral, velocity, (phase / STANCE - 0.5) * time_on_floor)
        return Foot((spot.real, spot.imag, -height), 1.0)
    share = (phase - STANCE) / (1.0 - STANCE)
    lift_off = _spot(neutral, velocity, time_on_floor / 2)
    touch_down = _spot(neutral, velocity, -time_on_floor / 2)
    spot = lift_off + (touch_down - lift_off) * (1.0 - math.cos(math.pi * share)) / 2
    lift = math.sin(math.pi * share) ** 2 * activity
    return Foot((spot.real, spot.imag, foot_raise * lift - height), 1.0 - min(1.0, 4 * lift))


def _neutral(leg: int, height: float) -> complex:
    """Return where a foot rests, x + iy: below the thigh, further in front of a low body."""
    low = max(0.0, min(1.0, (STAND_HEIGHT - height) / (STAND_HEIGHT - LYING_HEIGHT)))
    return complex(HIP_X * FRONT[leg] + LYING_SHIFT * low, (HIP_Y + HIP_LENGTH) * LEFT[leg])


def _drift(spot: complex, velocity: Velocity) -> complex:
    """Return the velocity in the body's frame of a spot on the floor [m/s]."""
    return -complex(velocity[0], velocity[1]) - 1j * velocity[2] * spot


def _spot(neutral: complex, velocity: Velocity, after: float) -> complex:
    """Return where a spot on the floor, now at ``neutral``, will be in the body's frame."""
    linear, turn = complex(velocity[0], velocity[1]), velocity[2]
    if abs(turn * after) < 1e-6:
        return neutral + _drift(neutral, velocity) * after
    center = linear / (1j * turn)
    return (neutral + center) * cmath.exp(-1j * turn * after) - center
