import array
from pathlib import Path

import numpy as np
import pytest
from av import VideoFrame
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist

from go2_webrtc_driver.errors import ConfigError, InvalidCommand
from go2_webrtc_driver.protocol.state import Imu, RobotPose, SportModeState
from go2_webrtc_driver.ros import conversions
from go2_webrtc_driver.ros.calibration import load_calibration
from go2_webrtc_driver.ros.conversions import to_header

HEADER = to_header(Time(sec=7, nanosec=8), 'camera_optical_frame')
SHIPPED = Path(__file__).parents[2] / 'config' / 'camera_1280x720.yaml'


def red_frame(width=64, height=48):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = 255
    return VideoFrame.from_ndarray(pixels, format='rgb24').reformat(format='yuv420p')


@pytest.mark.parametrize(
    ('encoding', 'step', 'pixel'),
    [('bgr8', 192, (0, 0, 255)), ('rgb8', 192, (255, 0, 0)), ('mono8', 64, (76,))],
)
def test_a_picture_becomes_an_image_of_the_encoding(encoding, step, pixel):
    image = conversions.to_image(red_frame(), encoding, HEADER)
    assert (image.width, image.height, image.step, image.encoding) == (64, 48, step, encoding)
    assert image.header == HEADER
    assert len(image.data) == step * 48
    assert tuple(image.data[: len(pixel)]) == pytest.approx(pixel, abs=12)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8'])
def test_our_image_is_the_one_of_cv_bridge(encoding):
    if conversions.CvBridge is None:
        pytest.skip('cv_bridge is not installed: PyPI has no build of it')
    pixels = red_frame().to_ndarray(format=conversions.PIXEL_FORMATS[encoding])
    ours = conversions.image_of_pixels(pixels, encoding, HEADER)
    theirs = conversions.image_by_cv_bridge(pixels, encoding, HEADER)
    assert ours == theirs  # not their CDR: what pads it is whatever was in memory


def test_pixels_are_copied_once_into_an_array():
    image = conversions.image_of_pixels(np.zeros((2, 2, 3), np.uint8)[:, ::-1], 'bgr8', HEADER)
    assert isinstance(image.data, array.array)
    assert image.step == 6


def test_camera_info_is_the_shipped_calibration():
    info = conversions.to_camera_info([load_calibration(SHIPPED)], red_frame(1280, 720), HEADER)
    assert (info.width, info.height, info.distortion_model) == (1280, 720, 'plumb_bob')
    assert tuple(info.k) == (864.39938, 0, 639.19798, 0, 863.73849, 373.28118, 0, 0, 1)
    assert tuple(info.p[:4]) == (864.39938, 0, 639.19798, 0)
    assert tuple(info.d) == (-0.354630, 0.102054, -0.001614, -0.001249, 0)
    assert info.header == HEADER


def test_camera_info_is_scaled_to_the_size_of_the_picture():
    info = conversions.to_camera_info([load_calibration(SHIPPED)], red_frame(640, 180), HEADER)
    assert info.k[0] == 864.39938 / 2
    assert info.k[4] == 863.73849 / 4
    assert (info.p[2], info.p[6], info.k[8]) == (639.19798 / 2, 373.28118 / 4, 1.0)


@pytest.mark.parametrize(
    'content', ['', '{', 'image_width: 1280', SHIPPED.read_text().replace('-0.354630, ', ''),
                SHIPPED.read_text().replace('864.39938', '.nan')],
    ids=range(5),
)  # fmt: skip
def test_a_bad_calibration_file_is_a_config_error(tmp_path, content):
    path = tmp_path / 'camera.yaml'
    path.write_text(content)
    with pytest.raises(ConfigError, match='camera_info_file'):
        load_calibration(path)
    with pytest.raises(ConfigError, match='camera_info_file'):
        load_calibration(tmp_path / 'none.yaml')


def test_odometry_has_the_pose_in_odom_and_the_twist_in_the_body():
    imu = Imu((0, 0, 0, 1), (0.01, 0.02, 0.25), (0, 0, 9.8), (0, 0, 0), 70.0)
    state = SportModeState(1.0, 100, 3, 1, 0.3, (1, 2, 3), (0.5, -0.1, 0.0), 0.26, imu)
    pose = RobotPose(1.0, (1.0, 2.0, 0.3), (0.0, 0.0, 0.6, 0.8))
    message = conversions.to_odometry(pose, state, to_header(Time(sec=1), 'odom'), 'base_link')
    assert (message.header.frame_id, message.child_frame_id) == ('odom', 'base_link')
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    assert (position.x, position.y, position.z) == (1.0, 2.0, 0.3)
    assert (orientation.z, orientation.w) == (0.6, 0.8)
    twist = message.twist.twist
    assert (twist.linear.x, twist.linear.y) == (0.5, -0.1)
    assert (twist.angular.x, twist.angular.y, twist.angular.z) == (0.01, 0.02, 0.25)
    assert all(message.pose.covariance[index * 7] > 0 for index in range(6))
    assert all(message.twist.covariance[index * 7] > 0 for index in range(6))


def test_a_twist_becomes_a_velocity_and_one_that_is_not_finite_is_refused():
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.angular.z = 0.5, 0.25, -1.0
    velocity = conversions.to_velocity(twist)
    assert (velocity.x, velocity.y, velocity.yaw_rate) == (0.5, 0.25, -1.0)
    twist.linear.x = float('nan')
    with pytest.raises(InvalidCommand):
        conversions.to_velocity(twist)


@pytest.mark.parametrize(
    ('name', 'size', 'model', 'fx'),
    [
        ('1280x720', (1280, 720), 'plumb_bob', 864.39938),
        ('1920x1080', (1920, 1080), 'plumb_bob', 1310.77826),
        ('1280x720_equidistant', (1280, 720), 'equidistant', 797.47562),
    ],
)
def test_every_shipped_calibration_loads(name, size, model, fx):
    found = load_calibration(SHIPPED.with_name(f'camera_{name}.yaml'))
    assert ((found.width, found.height), found.distortion_model, found.k[0]) == (size, model, fx)
    assert found.p[0] == fx


def test_the_calibration_of_the_pictures_size_is_taken():
    both = [load_calibration(SHIPPED.with_name(f'camera_{name}.yaml'))
            for name in ('1280x720', '1920x1080')]  # fmt: skip
    info = conversions.to_camera_info(both, red_frame(1920, 1080), HEADER)
    assert info.k[0] == 1310.77826
    info = conversions.to_camera_info(both, red_frame(640, 360), HEADER)
    assert info.k[0] == pytest.approx(864.39938 / 2)
