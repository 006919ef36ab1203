import math

import numpy as np
import pytest

from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world.scene import Scene, back_to_front, optical, planes, project
from go2_webrtc_driver.sim.world.world import Box

RED = (60, 60, 200)
GRAY = (170, 170, 170)
# The camera is 0.327 m ahead of the body's middle and 0.043 m above: at the height of the box.
AT_BOX_HEIGHT = Pose(z=0.157)
BOX = Box((3.0, 0.0, 0.2), (0.4, 0.4, 0.4), RED)
HORIZON = 373


def picture(*world, pose=AT_BOX_HEIGHT):
    return Scene((*world, Box((-50.0, 0.0, 0.1), (0.1, 0.1, 0.1), GRAY))).draw(pose)


def red_columns(image):
    """First and last column of color that is red on the horizon, in pixels of the picture."""
    _, color = planes(image)
    columns = np.flatnonzero(color[HORIZON // 2 + 2, :, 1] > 170) * 2
    return columns[0], columns[-1]


def test_a_box_straight_ahead_is_drawn_where_the_pinhole_puts_it():
    # near face 0.4 m wide at 2.8 - 0.327 m: 639.2 -+ 864.4 * 0.2 / 2.473
    assert red_columns(picture(BOX)) == pytest.approx((569.3, 709.1), abs=2)


def test_a_box_grows_as_the_robot_walks_up_to_it():
    closer = Pose(x=1.0, z=0.157)
    # 639.2 -+ 864.4 * 0.2 / 1.473
    assert red_columns(picture(BOX, pose=closer)) == pytest.approx((521.8, 756.6), abs=2)


def test_the_middle_of_what_is_straight_ahead_lands_on_the_optical_axis():
    (point,) = project(optical(AT_BOX_HEIGHT, np.array([BOX.center])))
    assert point == pytest.approx((639.2, 373.3))


def test_what_is_left_of_the_robot_is_left_in_the_picture_and_above_is_above():
    (point,) = project(optical(Pose(), np.array([[2.327, 1.0, 1.043]])))
    # 2 m ahead, 1 m left, 1 m up: 639.2 - 864.4 / 2, 373.3 - 863.7 / 2
    assert point == pytest.approx((207.0, -58.55))


def test_a_box_moves_right_when_the_robot_turns_left():
    (point,) = project(optical(Pose(yaw=0.2), np.array([[3.0, 0.0, 0.043]])))
    # camera at (0.3205, 0.0650): 2.6132 m ahead and 0.5960 m right of its axis
    assert point == pytest.approx((836.3, 373.3), abs=0.1)


def test_a_box_behind_the_robot_is_not_seen():
    behind = Box((-2.0, 0.0, 0.2), (0.4, 0.4, 0.4), RED)
    no_box = Box((-2.0, 0.0, -9.0), (0.4, 0.4, 0.0), RED)
    assert (picture(behind) == picture(no_box)).all()


def test_a_box_that_reaches_past_the_camera_stays_on_its_side():
    beside = Box((0.0, 0.6, 0.5), (4.0, 0.4, 1.0), RED)
    _, color = planes(picture(beside))
    reddish = color[:, :, 1] > 150
    assert reddish[HORIZON // 2, :20].all()
    assert not reddish[:, 320:].any()


@pytest.mark.parametrize('yaw', np.linspace(-math.pi, math.pi, 9))
def test_the_horizon_parts_sky_and_floor_wherever_the_robot_looks(yaw):
    luma, color = planes(picture(pose=Pose(z=0.32, yaw=yaw)))
    assert (color[HORIZON // 2 - 40, :, 0] > 130).all()
    assert (luma[HORIZON + 10] < luma[HORIZON - 60].min()).all()


def test_floor_lines_move_with_the_robot():
    assert (picture() != picture(pose=Pose(x=0.1, z=0.157))).any()
    assert (picture() == picture()).all()


def test_a_box_hides_a_long_wall_behind_it_though_the_middle_of_the_wall_is_nearer():
    wall = Box((1.0, -1.5, 0.5), (6.0, 0.1, 1.0), GRAY)
    box = Box((3.0, -1.2, 0.2), (0.4, 0.4, 0.4), RED)
    for world in ((wall, box), (box, wall)):
        x, _ = project(optical(AT_BOX_HEIGHT, np.array([[2.8, -1.2, 0.2]])))[0]
        _, color = planes(picture(*world))
        assert color[HORIZON // 2 + 2, int(x) // 2, 1] > 170


def test_boxes_are_drawn_from_back_to_front():
    low = np.array([[1.0, 0, 0], [3.0, 0, 0], [2.0, 0, 0]])
    assert back_to_front(low, low + 0.5, np.zeros(3)) == [1, 2, 0]
    assert back_to_front(low, low + 0.5, np.array([9.0, 0, 0])) == [0, 2, 1]
