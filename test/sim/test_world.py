"""The room of the simulated robot."""

from itertools import combinations

import pytest

from go2_webrtc_driver.sim.world.world import RED_BOX, WORLD, Box

SQUARE = [(t / 20, 0.0) for t in range(21)] + [(1.0, t / 20) for t in range(21)]
SQUARE += [(t / 20, 1.0) for t in range(21)] + [(0.0, t / 20) for t in range(21)]


def gap(box, x, y):
    """Return the distance on the floor from a point to ``box`` [m]."""
    dx = max(box.low[0] - x, x - box.high[0], 0.0)
    dy = max(box.low[1] - y, y - box.high[1], 0.0)
    return (dx * dx + dy * dy) ** 0.5


def test_a_box_spans_half_its_size_around_its_center():
    box = Box((1.0, -2.0, 0.5), (0.2, 0.4, 1.0), (0, 0, 0))
    assert box.low == pytest.approx((0.9, -2.2, 0.0))
    assert box.high == pytest.approx((1.1, -1.8, 1.0))


def test_every_box_stands_on_the_floor():
    assert [box.low[2] for box in WORLD] == pytest.approx([0.0] * len(WORLD))


def test_no_two_boxes_overlap():
    for one, other in combinations(WORLD, 2):
        sides = zip(one.low, one.high, other.low, other.high, strict=True)
        assert any(h0 <= l1 + 1e-9 or h1 <= l0 + 1e-9 for l0, h0, l1, h1 in sides), (one, other)


def test_the_square_of_the_demo_is_free_by_60_centimetres():
    assert min(gap(box, x, y) for box in WORLD for x, y in SQUARE) > 0.6


def test_the_red_box_stands_straight_ahead_of_the_start():
    assert RED_BOX in WORLD
    assert RED_BOX.center[1] == 0.0
