"""Rotations of the body: roll about x, then pitch about y, then yaw about z (REP-103)."""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def to_quaternion(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Return the orientation of the body as x, y, z, w."""
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def to_body(roll: float, pitch: float, vector: Vector) -> Vector:
    """Return a vector of the level frame (same yaw as the body) in the body's frame."""
    x, y, z = vector
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    across = sp * x + cp * z
    return cp * x - sp * z, cr * y + sr * across, -sr * y + cr * across


def angular_velocity(roll: float, pitch: float, rates: Vector) -> Vector:
    """Return what a gyroscope feels [rad/s] while roll, pitch and yaw change at ``rates``."""
    roll_rate, pitch_rate, yaw_rate = rates
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    return (
        roll_rate - sp * yaw_rate,
        cr * pitch_rate + sr * cp * yaw_rate,
        -sr * pitch_rate + cr * cp * yaw_rate,
    )
