"""
Geometry of the legs: joint angles <-> where the feet are.

Legs are numbered as on the wire: FR, FL, RR, RL. Angles are hip, thigh, calf [rad],
positive as in the vendor's URDF; feet are in ``base_link`` [m]. Lengths and limits are
those of the vendor's ``go2_description``.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]

LEGS = range(4)
FRONT = (1, 1, -1, -1)  # which way along x a leg is
LEFT = (-1, 1, -1, 1)  # which way along y
HIP_X, HIP_Y = 0.1934, 0.0465  # m, of the hip's axis from the middle of the body
HIP_LENGTH = 0.0955  # m, from the hip's axis out to the thigh's plane
THIGH = CALF = 0.213  # m

HIP_LIMIT = (-1.0472, 1.0472)
FRONT_THIGH_LIMIT = (-1.5708, 3.4907)
REAR_THIGH_LIMIT = (-0.5236, 4.5379)
CALF_LIMIT = (-2.7227, -0.83776)


def foot_position(leg: int, joints: Vector) -> Vector:
    """Return where the foot of ``leg`` is in ``base_link`` [m]."""
    hip, thigh, calf = joints
    along = -THIGH * math.sin(thigh) - CALF * math.sin(thigh + calf)
    down = THIGH * math.cos(thigh) + CALF * math.cos(thigh + calf)
    out = HIP_LENGTH * LEFT[leg]
    return (
        HIP_X * FRONT[leg] + along,
        HIP_Y * LEFT[leg] + out * math.cos(hip) + down * math.sin(hip),
        out * math.sin(hip) - down * math.cos(hip),
    )


def joint_angles(leg: int, foot: Vector) -> Vector:
    """
    Return the angles that bring the foot of ``leg`` to ``foot``, the knee to the back.

    Angles are kept within the joints' limits; a foot out of reach is not reached.
    """
    x = foot[0] - HIP_X * FRONT[leg]
    y = foot[1] - HIP_Y * LEFT[leg]
    z = foot[2]
    down = math.sqrt(max(0.0, y * y + z * z - HIP_LENGTH**2))
    hip = math.remainder(math.atan2(y, -z) - math.atan2(HIP_LENGTH * LEFT[leg], down), math.tau)
    bend = (x * x + down * down - THIGH**2 - CALF**2) / (2 * THIGH * CALF)
    calf = _clip(-math.acos(_clip(bend, (-1.0, 1.0))), CALF_LIMIT)
    thigh = math.atan2(-x, down) - math.atan2(CALF * math.sin(calf), THIGH + CALF * math.cos(calf))
    return _clip(hip, HIP_LIMIT), _clip(thigh, thigh_limit(leg)), calf


def thigh_limit(leg: int) -> tuple[float, float]:
    """Return the least and the largest angle of the thigh of ``leg`` [rad]."""
    return FRONT_THIGH_LIMIT if FRONT[leg] > 0 else REAR_THIGH_LIMIT


def _clip(value: float, limit: tuple[float, float]) -> float:
    return max(limit[0], min(limit[1], value))
