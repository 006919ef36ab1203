"""The frames on the body: /tf_static, and legs that go with it."""

from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from driver_process import ACTIVATE, CONFIGURE, context, driver, robot_in_this_process, user
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from support import free_address
from urdf_parser_py.urdf import URDF

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.protocol.state import Battery, LowState, Motor, RobotPose
from go2_webrtc_driver.ros.mounts import TFMessage, to_transforms
from go2_webrtc_driver.ros.publications import HELD, LONGEST_HELD, LOW, PUBLICATIONS, Context

__all__ = ['context', 'user']  # fixtures
MODEL = Path(__file__).parents[2] / 'urdf' / 'go2.urdf'
POSE = RobotPose(0.0, (0.0, 0.0, 0.3), (0.0, 0.0, 0.0, 1.0))
STAMP = Time(sec=100, nanosec=0)


def names(transforms):
    return [(each.header.frame_id, each.child_frame_id) for each in transforms]


def rotation_of_rpy(roll, pitch, yaw):
    """Return the matrix of fixed-axis angles [rad], as URDF has them."""
    (a, b, c), (sa, sb, sc) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
    about_y = np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
    about_z = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def rotation_of_quaternion(q):
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_the_frames_are_where_the_model_has_them():
    joints = {joint.child: joint for joint in URDF.from_xml_file(str(MODEL)).joints}
    transforms = to_transforms(DriverConfig(), STAMP)
    assert len(transforms) == 3
    for each in transforms:
        joint = joints[each.child_frame_id]
        assert (joint.type, joint.parent) == ('fixed', each.header.frame_id)
        at = each.transform.translation
        assert [at.x, at.y, at.z] == joint.origin.xyz
        wanted = rotation_of_rpy(*(joint.origin.rpy or (0, 0, 0)))
        assert rotation_of_quaternion(each.transform.rotation) == pytest.approx(wanted, abs=1e-12)


def test_the_frames_have_the_names_of_the_parameters():
    config = DriverConfig(frame_prefix='rex/', base_frame='base', camera_frame='eye')
    assert names(to_transforms(config, STAMP)) == [
        ('rex/base', 'rex/imu_link'),
        ('rex/base', 'rex/camera_link'),
        ('rex/camera_link', 'rex/eye'),
    ]


def test_a_frame_is_never_its_own_parent():
    config = DriverConfig(imu_frame='base_link', camera_frame='camera_link')
    assert names(to_transforms(config, STAMP)) == [('base_link', 'camera_link')]


def listen(user, qos):
    heard = []
    user.create_subscription(TFMessage, '/tf_static', heard.append, qos)
    return heard


@pytest.mark.skipif(TFMessage is None, reason='tf2_msgs is not installed: there is no /tf_static')
def test_whoever_comes_late_learns_where_imu_and_camera_are(user):
    with driver(user, free_address(), f'frame_prefix:={user.space}/'):
        assert user.transition(CONFIGURE)
        heard = listen(user, QoSProfile(depth=9, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        user.until(lambda: any(user.space in str(names(each.transforms)) for each in heard))
    ours = next(each for each in heard if user.space in str(names(each.transforms)))
    assert ours.transforms[0].header.stamp.sec > 0
    assert {child for _, child in names(ours.transforms)} == {
        f'{user.space}/{name}' for name in ('imu_link', 'camera_link', 'camera_optical_frame')
    }


def joint_states(sample, context, stamp):
    (row,) = (row for row in PUBLICATIONS if row.topic == 'joint_states')
    return row.convert(sample, stamp, context)


@pytest.fixture
def low_state():
    motors = tuple(Motor(0.1 * number, 30.0, 0) for number in range(12))
    battery = Battery(0.5, -1.0, 5, (30.0,) * 4)
    return LowState((0.0,) * 3, motors, battery, 28.0, 40.0, (0.0,) * 4)


def test_angles_that_come_again_with_a_pose_are_marked(low_state):
    context = Context(DriverConfig(), [])
    assert joint_states(POSE, context, STAMP) is None, 'there are none yet'
    context.note(LOW, low_state, STAMP)
    measured = joint_states(low_state, context, STAMP)
    assert measured.header.frame_id == ''
    later = Time(sec=101, nanosec=0)
    held = joint_states(POSE, context, later)
    assert (held.header.frame_id, held.header.stamp) == (HELD, later)
    assert held.position == measured.position


def test_angles_of_long_ago_are_not_told_again(low_state):
    context = Context(DriverConfig(), [])
    context.note(LOW, low_state, STAMP)
    limit = STAMP.sec + int(LONGEST_HELD)
    assert joint_states(POSE, context, Time(sec=limit, nanosec=0)) is not None
    assert joint_states(POSE, context, Time(sec=limit, nanosec=1)) is None


def test_the_legs_go_with_the_body(user):
    poses, joints = [], []
    user.create_subscription(Odometry, 'odom', poses.append, 50)
    user.create_subscription(JointState, 'joint_states', joints.append, 50)

    def held():
        return [each for each in joints if each.header.frame_id == HELD]

    with robot_in_this_process() as (go2, _), driver(user, go2.ip):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: len(held()) > 30 and len(joints) > len(held()))
        last = held()[-1].header.stamp
        user.until(lambda: any(each.header.stamp == last for each in poses))
    stamps = [(each.header.stamp.sec, each.header.stamp.nanosec) for each in joints]
    assert stamps == sorted(stamps)
    assert len(held()) > 5 * (len(joints) - len(held()))
