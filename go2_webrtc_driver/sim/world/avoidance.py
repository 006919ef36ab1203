"""
Obstacle avoidance of the simulated robot: how fast it may still walk ahead.

It looks forward only, as is reported of a real robot, and knows the boxes of the world
instead of measuring them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..pose import Pose
from .world import WORLD, Box

NOSE = 0.35  # m, from the middle of the body to its front (the robot is 0.70 m long)
HALF_WIDTH = 0.16  # m, of the body
STOP_DISTANCE = 0.4  # m, that is left between nose and obstacle; ours
TIME_TO_STOP = 0.5  # s; the allowed speed is the distance left in this time

Point = tuple[float, float]


def limit_ahead(speed: float, pose: Pose) -> float:
    """Return how much of a forward ``speed`` [m/s] avoidance allows at ``pose``."""
    return min(speed, max(0.0, (clearance(pose) - STOP_DISTANCE) / TIME_TO_STOP))


def clearance(pose: Pose, boxes: Iterable[Box] = WORLD) -> float:
    """Return how far the nose is from the first box in the body's way [m]; may be infinite."""
    return min((_gap(pose, box) for box in boxes), default=math.inf)


def _gap(pose: Pose, box: Box) -> float:
    corners = [_to_body(pose, corner) for corner in _corners(box)]
    for side in (1.0, -1.0):
        corners = _clip(corners, side)
    ahead = [x for x, _ in corners]
    if not ahead or max(ahead) < NOSE:
        return math.inf
    return max(0.0, min(ahead) - NOSE)


def _corners(box: Box) -> list[Point]:
    (x0, y0, _), (x1, y1, _) = box.low, box.high
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _to_body(pose: Pose, point: Point) -> Point:
    dx, dy = point[0] - pose.x, point[1] - pose.y
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    return cos * dx + sin * dy, cos * dy - sin * dx


def _clip(polygon: list[Point], side: float) -> list[Point]:
    """Return the part of a convex polygon with ``side * y`` at most half the body's width."""
    kept = []
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        over0, over1 = side * y0 - HALF_WIDTH, side * y1 - HALF_WIDTH
        if over0 <= 0.0:
            kept.append((x0, y0))
        if over0 * over1 < 0.0:
            share = over0 / (over0 - over1)
            kept.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
    return kept
