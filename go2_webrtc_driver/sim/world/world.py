"""The room the simulated robot walks in, as boxes in ``odom``."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]
Color = tuple[int, int, int]

WALL: Color = (168, 176, 184)


@dataclass(frozen=True)
class Box:
    """
    An axis-aligned box.

    Attributes:
        center: in ``odom`` [m].
        size: edges along x, y, z [m].
        color: blue, green, red, 0 to 255.
    """

    center: Vector
    size: Vector
    color: Color

    @property
    def low(self) -> Vector:
        """The corner with the smallest coordinates [m]."""
        x, y, z = (c - s / 2 for c, s in zip(self.center, self.size, strict=True))
        return x, y, z

    @property
    def high(self) -> Vector:
        """The corner with the largest coordinates [m]."""
        x, y, z = (c + s / 2 for c, s in zip(self.center, self.size, strict=True))
        return x, y, z


RED_BOX = Box((3.0, 0.0, 0.2), (0.4, 0.4, 0.4), (60, 60, 200))

# The boxes never overlap: the scene's painter's order needs a plane between any two.
WORLD: tuple[Box, ...] = (
    Box((4.05, 1.75, 0.5), (0.1, 2.5, 1.0), WALL),
    Box((0.3, 3.05, 0.5), (7.6, 0.1, 1.0), WALL),
    Box((0.3, -3.05, 0.5), (7.6, 0.1, 1.0), WALL),
    Box((-3.55, 0.0, 0.5), (0.1, 6.2, 1.0), WALL),
    RED_BOX,
    Box((2.7, 1.5, 0.3), (0.5, 0.5, 0.6), (70, 170, 70)),
    Box((2.4, -1.3, 0.25), (0.3, 0.8, 0.5), (200, 130, 50)),
    Box((3.6, -0.9, 0.45), (0.3, 0.3, 0.9), (50, 190, 230)),
    Box((-1.8, 1.6, 0.25), (0.5, 0.5, 0.5), (180, 80, 160)),
    Box((0.4, 2.4, 0.35), (0.7, 0.4, 0.7), (90, 140, 220)),
)
