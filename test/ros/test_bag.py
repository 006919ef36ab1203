"""A bag of every topic of the driver, read by rosbags, which shares no code with ROS."""

import collections
import functools
import itertools
import math
import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driver_process import ACTIVATE, CONFIGURE, SIM, User, context, driver
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from support import free_address, process

from go2_webrtc_driver.ros.conversions import JOINT_NAMES
from go2_webrtc_driver.ros.publications import HAS_TF, PUBLICATIONS
from go2_webrtc_driver.sim.world import frame_mark

__all__ = ['context']  # a fixture
TYPES = get_typestore(Stores.ROS2_HUMBLE)  # the messages we send are the same ever since
ENOUGH, MOST = 2, 6  # messages of a topic
DIAGNOSTICS = '/diagnostics'
TOPICS = {row.topic: row.message_type for row in PUBLICATIONS} | {DIAGNOSTICS: DiagnosticArray}

FRAMES = {
    'camera/image_raw': 'camera_optical_frame',
    'camera/image_raw/compressed': 'camera_optical_frame',
    'camera/camera_info': 'camera_optical_frame',
    'odom': 'odom',
    'imu/data': 'imu_link',
    'joint_states': '',
    'battery_state': 'base_link',
    'points': 'odom',
    'scan': 'base_link',
    DIAGNOSTICS: '',
}
WITHOUT_HEADER = {'foot_force', '/tf'}


@pytest.fixture(scope='module')
def recorded(context):
    """Return the first messages of every topic: {topic: [(time of arrival [ns], bytes)]}."""
    received, user, ip = collections.defaultdict(list), User(), free_address()

    def keep(topic, raw):
        if len(received[topic]) < MOST:
            received[topic].append((time.time_ns(), raw))

    for topic, kind in TOPICS.items():
        user.create_subscription(kind, topic, functools.partial(keep, topic), 10, raw=True)
    with process(SIM, '--ip', ip, ready='listens'), driver(user, ip):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: all(len(received[topic]) >= ENOUGH for topic in TOPICS))
    user.destroy_node()
    return received


@pytest.fixture(scope='module', params=StoragePlugin, ids=lambda plugin: plugin.name.lower())
def bag(request, recorded, tmp_path_factory):
    """Return the path of a bag of what was recorded."""
    path = tmp_path_factory.mktemp('bags') / 'go2'
    with Writer(path, version=9, storage_plugin=request.param) as writer:
        for topic, messages in recorded.items():
            name = ros_name(TOPICS[topic])
            connection = writer.add_connection(topic, name, typestore=TYPES)
            for arrival, raw in messages:
                writer.write(connection, arrival, raw)
    return path


@pytest.fixture(scope='module')
def read(bag):
    """Return what rosbags makes of the bag: {topic: [message]}."""
    messages = collections.defaultdict(list)
    with Reader(bag) as reader:
        for connection, _, raw in reader.messages():
            messages[connection.topic].append(TYPES.deserialize_cdr(raw, connection.msgtype))
    return messages


def ros_name(kind):
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def instant(message):
    """Return a message's stamp [ns]."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_every_topic_is_in_the_bag_with_its_type(bag, recorded):
    with Reader(bag) as reader:
        assert {name: topic.msgtype for name, topic in reader.topics.items()} == {
            name: ros_name(kind) for name, kind in TOPICS.items()
        }
        counts = {name: topic.msgcount for name, topic in reader.topics.items()}
    assert counts == {topic: len(messages) for topic, messages in recorded.items()}
    assert min(counts.values()) >= ENOUGH


def test_rosbags_understands_every_message_to_its_last_byte(read, recorded):
    """It refuses one that is longer or shorter than its type says."""
    assert {topic: len(messages) for topic, messages in read.items()} == {
        topic: len(messages) for topic, messages in recorded.items()
    }
    for topic, messages in read.items():
        assert {message.__msgtype__ for message in messages} == {ros_name(TOPICS[topic])}


def test_every_header_names_the_frame_its_content_is_in(read):
    frames = {
        topic: {message.header.frame_id for message in messages}
        for topic, messages in read.items()
        if topic not in WITHOUT_HEADER
    }
    assert '' in frames['joint_states']
    assert frames.pop('joint_states') <= {'', 'held'}
    assert frames == {topic: {FRAMES[topic]} for topic in frames}
    assert {*frames, 'joint_states'} == {*FRAMES}


def test_stamps_rise_and_are_shortly_before_the_arrival(read, recorded):
    for topic in FRAMES:
        stamps = [instant(message) for message in read[topic]]
        assert all(one < other for one, other in itertools.pairwise(stamps)), topic
        arrivals = [arrival for arrival, _ in recorded[topic]]
        for stamp, arrival in zip(stamps, arrivals, strict=True):
            assert 0 < arrival - stamp < 10e9, topic


def test_pictures_are_whole_and_show_the_scene(read):
    for message in read['camera/image_raw']:
        assert (message.width, message.height, message.step) == (1280, 720, 3840)
        assert (message.encoding, message.is_bigendian) == ('bgr8', 0)
        assert frame_mark.read(message.data.reshape(720, 1280, 3)) is not None
    for message in read['camera/image_raw/compressed']:
        assert message.format == 'bgr8; jpeg compressed bgr8'
        picture = cv2.imdecode(np.array(message.data), cv2.IMREAD_COLOR)
        assert picture.shape == (720, 1280, 3)
        assert frame_mark.read(picture) is not None


def test_pictures_of_one_instant_share_its_stamp_with_their_calibration(read):
    images, jpegs, calibrations = (
        {instant(message) for message in read[topic]}
        for topic in ('camera/image_raw', 'camera/image_raw/compressed', 'camera/camera_info')
    )
    assert images & jpegs
    assert images & calibrations
    for message in read['camera/camera_info']:
        assert (message.width, message.height) == (1280, 720)
        assert (message.distortion_model, len(message.d)) == ('plumb_bob', 5)
        assert message.k == pytest.approx([864.4, 0, 639.2, 0, 863.7, 373.3, 0, 0, 1], abs=0.1)
        assert message.p[[0, 2, 5, 6, 10]] == pytest.approx(message.k[[0, 2, 4, 5, 8]])


def test_a_robot_at_rest_stands_at_the_origin_and_feels_gravity(read):
    for message in read['odom']:
        assert message.child_frame_id == 'base_link'
        pose, twist = message.pose.pose, message.twist.twist
        assert (pose.position.x, pose.position.y, pose.position.z) == (0, 0, 0.32)
        assert (pose.orientation.z, pose.orientation.w) == (0, 1)
        assert (twist.linear.x, twist.angular.z) == (0, 0)
        assert (message.pose.covariance.reshape(6, 6).diagonal() > 0).all()
    for message in read['imu/data']:
        assert message.linear_acceleration.z == pytest.approx(9.81, abs=1e-3)
        assert message.angular_velocity.z == 0
        assert (message.orientation_covariance.reshape(3, 3).diagonal() > 0).all()


@pytest.mark.skipif(not HAS_TF, reason='a ROS is sourced, without tf2_msgs')
def test_the_transform_is_the_odometrys_pose(read):
    for message in read['/tf']:
        (stamped,) = message.transforms
        assert (stamped.header.frame_id, stamped.child_frame_id) == ('odom', 'base_link')
        assert stamped.transform.translation.z == 0.32
        assert stamped.transform.rotation.w == 1


def test_joints_battery_and_feet_have_their_values(read):
    for message in read['joint_states']:
        assert tuple(message.name) == JOINT_NAMES
        assert message.position.shape == (12,)
        assert (np.abs(message.position) < math.pi).all()
        assert message.velocity.size == message.effort.size == 0
    for message in read['battery_state']:
        assert message.percentage == pytest.approx(0.87)
        assert message.voltage == pytest.approx(30.8, abs=0.2)
        assert message.current == pytest.approx(-2.48)
        assert message.power_supply_status == message.POWER_SUPPLY_STATUS_DISCHARGING
        assert (message.present, math.isnan(message.charge)) == (True, True)
    for message in read['foot_force']:
        assert message.data.tolist() == [97, 84, 81, 81]
        assert [dim.label for dim in message.layout.dim] == ['FR FL RR RL']


def test_cloud_and_scan_see_the_room(read):
    for message in read['points']:
        assert [field.name for field in message.fields] == ['x', 'y', 'z']
        assert all(field.datatype == field.FLOAT32 for field in message.fields)
        assert (message.height, message.point_step) == (1, 12)
        points = message.data.view('<f4').reshape(message.width, 3)
        assert len(points) > 5000
        # Walls at y = -/+3.0, 0.1 m thick and 1 m high, in a map of 6.4 m; middles of voxels.
        assert points.min(axis=0) == pytest.approx((-3.175, -3.075, 0.025), abs=1e-3)
        assert points.max(axis=0) == pytest.approx((3.175, 3.075, 0.975), abs=1e-3)
    for message in read['scan']:
        assert message.ranges.shape == (360,)
        seen = message.ranges[np.isfinite(message.ranges)]
        assert len(seen) > 30
        assert message.range_min <= seen.min()
        assert seen.max() <= message.range_max
        straight_ahead = round(-message.angle_min / message.angle_increment)
        assert message.ranges[straight_ahead] == pytest.approx(2.8, abs=0.01)  # the red box


def test_diagnostics_say_that_the_robot_is_connected(read):
    last = read[DIAGNOSTICS][-1]
    told = {status.name.rpartition(': ')[2]: status for status in last.status}
    assert set(told) == {'connection', 'shared memory', 'streams', 'robot'}
    assert told['connection'].message == 'connected'
    assert {status.level for status in last.status} == {0}
    values = {pair.key: pair.value for pair in told['robot'].values}
    assert values['battery [percent]'] == '87'
