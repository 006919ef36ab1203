"""
What the simulated robot sees: the world drawn for its front camera.

A pinhole at the vendor's camera pose, with focal lengths and centre of a published
calibration of a Go2 at 1280x720 (go2_ros2_sdk; one robot, not factory data). That
calibration's distortion is not drawn. The body is level, so the horizon never moves.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pose import Pose
from .world import WORLD, Box, Color

Points = NDArray[np.float64]
Plane = NDArray[np.uint8]

WIDTH, HEIGHT = 1280, 720
FX, FY, CX, CY = 864.4, 863.7, 639.2, 373.3  # [px]
CAMERA_FORWARD, CAMERA_UP = 0.327, 0.043  # of the camera in base_link [m]

NEAR = 0.1  # nothing closer to the camera is drawn [m]
GRID = 0.5  # distance of the lines on the floor [m]
GRID_NEAR, GRID_FAR = 3.0, 9.0  # how far around the robot they are bold, and drawn [m]
SUN = (0.35, 0.55)  # a shadow's length along x and y, in heights of what casts it

FRACTION_BITS = 4  # cv2 draws in fixed point

SKY_TOP: Color = (216, 160, 104)
SKY_LOW: Color = (240, 226, 208)
HILLS: Color = (172, 158, 132)
FLOOR_FAR: Color = (186, 190, 184)
FLOOR: Color = (112, 118, 116)
SHADOW: Color = (84, 88, 88)

# Corners are numbered x + 2 y + 4 z, 1 being the high side; a face's light depends on its side.
FACES = np.array(
    [[0, 2, 6, 4], [1, 5, 7, 3], [0, 4, 5, 1], [2, 3, 7, 6], [0, 1, 3, 2], [4, 6, 7, 5]]
)
LIGHT = (0.82, 0.62, 0.74, 0.55, 0.4, 1.0)


def optical(pose: Pose, points: Points) -> Points:
    """Return ``points`` (shape (..., 3), ``odom``) as right, down, ahead of the camera [m]."""
    away = points - _eye(pose)
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    ahead = cos * away[..., 0] + sin * away[..., 1]
    right = sin * away[..., 0] - cos * away[..., 1]
    return np.stack((right, -away[..., 2], ahead), axis=-1)


def project(points: Points) -> Points:
    """Return where points in front of the camera, shape (..., 3), appear, shape (..., 2) [px]."""
    return points[..., :2] / points[..., 2:] * (FX, FY) + (CX, CY)


class Scene:
    """
    Draws a world as the robot's camera sees it.

    Pictures are NV12, which is what the encoder works on: full-size luma and
    half-size color, a little more than half the pixels of BGR to fill, and no conversion.
    """

    def __init__(self, world: tuple[Box, ...] = WORLD) -> None:
        self._background = _background()
        self._low = np.array([box.low for box in world])
        self._high = np.array([box.high for box in world])
        self._corners = np.stack([_corners(box) for box in world])
        self._colors = [[_to_yuv(box.color, light) for light in LIGHT] for box in world]
        self._shadows = np.stack([_shadow(box) for box in world])

    def draw(self, pose: Pose) -> Plane:
        """Return the picture from ``pose``, NV12, shape (1080, 1280)."""
        image: Plane = self._background.copy()
        luma, color = planes(image)
        _draw_hills(luma, color, pose.yaw)
        shadows = optical(pose, self._shadows)
        for shadow in shadows[~_out_of_sight(shadows)]:
            _fill(luma, color, shadow, _to_yuv(SHADOW))
        _draw_grid(luma, pose)
        self._draw_boxes(luma, color, pose)
        return image

    def _draw_boxes(self, luma: Plane, color: Plane, pose: Pose) -> None:
        eye = _eye(pose)
        corners = optical(pose, self._corners)
        shown = np.flatnonzero(~_out_of_sight(corners))
        sides = np.stack((eye < self._low, eye > self._high), axis=-1).reshape(-1, len(FACES))
        for index in shown[back_to_front(self._low[shown], self._high[shown], eye)]:
            for face in np.flatnonzero(sides[index]):
                yuv = self._colors[index][face]
                _fill(luma, color, corners[index][FACES[face]], yuv, edges=True)


def planes(image: Plane) -> tuple[Plane, Plane]:
    """Return luma, shape (720, 1280), and color, shape (360, 640, 2), of an NV12 picture."""
    return image[:HEIGHT], image[HEIGHT:].reshape(HEIGHT // 2, WIDTH // 2, 2)


def back_to_front(low: Points, high: Points, eye: Points) -> list[int]:
    """
    Return the order in which to draw disjoint boxes.

    A box can hide another unless a plane x, y or z = constant parts the two and has
    the eye on the other one's side. Distance alone would draw a long wall over what
    stands in front of it.

    Args:
        low: corners with the smallest coordinates, shape (N, 3) [m].
        high: corners with the largest coordinates, shape (N, 3) [m].
        eye: position of the camera, shape (3,) [m].
    """
    above = (low[:, None] >= high) & (eye <= low)[:, None]
    below = (high[:, None] <= low) & (eye >= high)[:, None]
    hides = np.asarray(~(above | below).any(axis=-1))
    np.fill_diagonal(hides, False)
    hidden = hides.sum(axis=1)
    order = []
    for _ in range(len(low)):
        farthest = int(np.argmin(hidden))
        hidden -= hides[:, farthest]
        hidden[farthest] = len(low) * 2
        order.append(farthest)
    return order


def _eye(pose: Pose) -> Points:
    return np.array(
        (
            pose.x + CAMERA_FORWARD * math.cos(pose.yaw),
            pose.y + CAMERA_FORWARD * math.sin(pose.yaw),
            pose.z + CAMERA_UP,
        )
    )


def _corners(box: Box) -> Points:
    bits = np.arange(8)[:, None] >> np.arange(3) & 1
    return np.where(bits, box.high, box.low)


def _shadow(box: Box) -> Points:
    """Return the outline of a box's shadow on the floor, shape (8, 3), ``odom`` [m]."""
    corners = _corners(box)
    flat = corners[:, :2] + corners[:, 2:] * SUN
    outline = cv2.convexHull(flat.astype(np.float32))[:, 0].astype(np.float64)
    padded = np.pad(outline, ((0, len(flat) - len(outline)), (0, 0)), mode='edge')
    return np.column_stack((padded, np.zeros(len(padded))))


def _to_yuv(bgr: Color, light: float = 1.0) -> tuple[int, int, int]:
    """Return a color as BT.601 video levels, which is what decoders assume."""
    b, g, r = (light * channel / 255 for channel in bgr)
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    return round(y), round(u), round(v)


def _background() -> Plane:
    """Return sky and bare floor, NV12."""
    sky = np.array([_to_yuv(SKY_TOP), _to_yuv(SKY_LOW)])
    floor = np.array([_to_yuv(FLOOR_FAR), _to_yuv(FLOOR)])
    rows = np.arange(HEIGHT)
    height = np.clip(rows / CY, 0, 1)
    nearness = 1 - np.exp(-np.clip(rows - CY, 0, None) / 60)
    share = np.where(rows < CY, height, nearness)[:, None]
    pair = np.where((rows < CY)[:, None, None], sky, floor)
    column = ((1 - share) * pair[:, 0] + share * pair[:, 1]).round().astype(np.uint8)
    image = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
    luma, color = planes(image)
    luma[:] = column[:, :1]
    color[:] = column[::2, None, 1:]
    return image


def _draw_hills(luma: Plane, color: Plane, yaw: float) -> None:
    """Draw far hills: they turn with the robot and never come closer."""
    across = np.linspace(0, WIDTH, 81)
    azimuth = yaw - np.arctan((across - CX) / FX)
    height = 16 + 9 * np.sin(3 * azimuth + 1) + 6 * np.sin(8 * azimuth) + 3 * np.sin(17 * azimuth)
    ridge = np.column_stack((across, CY - height))
    outline = np.vstack((ridge, ((WIDTH, CY), (0, CY))))
    y, *uv = _to_yuv(HILLS)
    fixed = _fixed_point(outline)
    cv2.fillPoly(luma, [fixed], y, cv2.LINE_AA, FRACTION_BITS)
    cv2.fillPoly(color, [fixed], uv, cv2.LINE_8, FRACTION_BITS + 1)


def _draw_grid(luma: Plane, pose: Pose) -> None:
    for reach, shade in ((GRID_FAR, 132), (GRID_NEAR, 150)):
        starts, ends = _grid_lines(pose, reach)
        lines = _clip_lines(optical(pose, starts), optical(pose, ends))
        cv2.polylines(
            luma, list(_fixed_point(project(lines))), False, shade, 1, cv2.LINE_AA, FRACTION_BITS
        )


def _grid_lines(pose: Pose, reach: float) -> tuple[Points, Points]:
    """Return the two ends of the floor's lines inside a circle, ``odom`` [m]."""
    ends = []
    for at, across in ((pose.x, pose.y), (pose.y, pose.x)):
        fixed = np.arange(math.ceil((at - reach) / GRID), (at + reach) / GRID) * GRID
        half = np.sqrt(np.maximum(reach**2 - (fixed - at) ** 2, 0))
        ends.append((fixed, across - half, across + half))
    (x, y0, y1), (y, x0, x1) = ends
    starts = np.column_stack((np.append(x, x0), np.append(y0, y), np.zeros(len(x) + len(y))))
    stops = np.column_stack((np.append(x, x1), np.append(y1, y), np.zeros(len(x) + len(y))))
    return starts, stops


def _out_of_sight(points: Points) -> NDArray[np.bool_]:
    """Tell which bodies, corners of shape (..., N, 3), are all behind or all beside the view."""
    x, ahead = points[..., 0], points[..., 2]
    behind = (ahead < NEAR).all(axis=-1)
    left = (x * FX < -CX * ahead).all(axis=-1)
    right = (x * FX > (WIDTH - CX) * ahead).all(axis=-1)
    return np.asarray(behind | left | right)


def _clip_lines(starts: Points, ends: Points) -> Points:
    """Return what of the lines is in front of the camera, shape (N, 2, 3)."""
    some = np.maximum(starts[:, 2], ends[:, 2]) > NEAR
    lines = np.stack((starts[some], ends[some]), axis=1)
    for one, other in ((0, 1), (1, 0)):
        behind = lines[:, one, 2] < NEAR
        hidden, seen = lines[behind, one], lines[behind, other]
        share = (NEAR - hidden[:, 2:]) / (seen[:, 2:] - hidden[:, 2:])
        lines[behind, one] = hidden + share * (seen - hidden)
    return lines


def _clip_polygon(points: Points) -> Points:
    """Return what of a polygon, shape (N, 3), is in front of the camera."""
    depth = points[:, 2]
    if (depth >= NEAR).all():
        return points
    kept = []
    for here, there in zip(points, np.roll(points, -1, axis=0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] < NEAR) != (there[2] < NEAR):
            kept.append(here + (NEAR - here[2]) / (there[2] - here[2]) * (there - here))
    return np.array(kept).reshape(-1, 3)


def _fill(
    luma: Plane,
    color: Plane,
    polygon: Points,
    yuv: tuple[int, int, int],
    edges: bool = False,
) -> None:
    """Draw a convex polygon given in the camera's frame, shape (N, 3) [m]."""
    y, *uv = yuv
    fixed = _fixed_point(project(_clip_polygon(polygon)))
    smooth = cv2.LINE_8 if edges else cv2.LINE_AA  # edges hide the steps
    cv2.fillConvexPoly(luma, fixed, y, smooth, FRACTION_BITS)
    cv2.fillConvexPoly(color, fixed, uv, cv2.LINE_8, FRACTION_BITS + 1)
    if edges:
        cv2.polylines(luma, [fixed], True, y * 0.6, 1, cv2.LINE_AA, FRACTION_BITS)


def _fixed_point(pixels: Points) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = (pixels * (1 << FRACTION_BITS)).round().astype(np.int32)
    return fixed
