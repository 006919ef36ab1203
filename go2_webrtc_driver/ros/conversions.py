"""Samples of the robot <-> ROS messages: pure functions, SI units, REP-103 frames."""

from __future__ import annotations

import array
import math
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped, Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import BatteryState, CameraInfo, CompressedImage, Image, JointState
from sensor_msgs.msg import Imu as ImuMessage
from std_msgs.msg import Float32MultiArray, Header, MultiArrayDimension

from ..protocol.state import Battery, Imu, Motor, RobotPose, SportModeState
from ..velocity import Velocity
from .calibration import Calibration, calibration_for

try:
    from cv_bridge import CvBridge
except (ImportError, AttributeError):  # not on PyPI; built against numpy 1 it fails with 2
    CvBridge = None

PIXEL_FORMATS = {'bgr8': 'bgr24', 'rgb8': 'rgb24', 'mono8': 'gray'}  # ROS: FFmpeg
POSE_VARIANCE = (1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3)  # m^2, rad^2: no source; drift is not in it
ORIENTATION_VARIANCE = (1e-4, 1e-4, 1e-3)  # rad^2: no source; yaw drifts besides
RATE_VARIANCE = (1e-4, 1e-4, 1e-4)  # (rad/s)^2: no source
ACCELERATION_VARIANCE = (1e-2, 1e-2, 1e-2)  # (m/s^2)^2: no source
IDLE_CURRENT = 0.05  # A; less is neither charging nor discharging
HOT_BATTERY = 60.0  # degree Celsius, a usual limit of lithium cells while discharging
LEG_NAMES = ('FR', 'FL', 'RR', 'RL')  # order of the wire (unitree_sdk2_python, legID)
JOINT_NAMES = tuple(
    f'{leg}_{joint}_joint' for leg in LEG_NAMES for joint in ('hip', 'thigh', 'calf')
)
TWIST_VARIANCE = (1e-2, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2)  # (m/s)^2, (rad/s)^2: no source


class VideoFrame(Protocol):
    """A decoded picture, as PyAV gives it."""

    width: int
    height: int

    def to_ndarray(self, *, format: str) -> NDArray[np.uint8]:
        """Return the pixels, shape (height, width[, 3])."""


def to_image(frame: VideoFrame, encoding: str, header: Header) -> Image:
    """
    Return a picture as Image.

    Args:
        frame: decoded picture.
        encoding: ``bgr8``, ``rgb8`` or ``mono8``.
        header: time of arrival, optical frame.
    """
    pixels = frame.to_ndarray(format=PIXEL_FORMATS[encoding])
    make = image_of_pixels if CvBridge is None else image_by_cv_bridge
    return make(pixels, encoding, header)


def image_by_cv_bridge(pixels: NDArray[np.uint8], encoding: str, header: Header) -> Image:
    """Return pixels, shape (height, width[, 3]), as Image, made by cv_bridge."""
    return CvBridge().cv2_to_imgmsg(pixels, encoding=encoding, header=header)


def image_of_pixels(pixels: NDArray[np.uint8], encoding: str, header: Header) -> Image:
    """Return the Image that cv_bridge would make, byte for byte, without cv_bridge."""
    message = Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // pixels.shape[0],
    )
    # As a keyword it would be copied element by element: 8 ms for 1280x720 bgr8, not 1.
    message.data = array.array('B')
    message.data.frombytes(np.ascontiguousarray(pixels).data)
    return message


def to_camera_info(
    calibrations: Sequence[Calibration], frame: VideoFrame, header: Header
) -> CameraInfo:
    """Return the calibration for the size of ``frame``; ``header`` as the Image's."""
    scaled = calibration_for(calibrations, frame.width, frame.height)
    return CameraInfo(
        header=header,
        height=scaled.height,
        width=scaled.width,
        distortion_model=scaled.distortion_model,
        d=scaled.d,
        k=scaled.k,
        r=scaled.r,
        p=scaled.p,
    )


def to_odometry(
    pose: RobotPose, state: SportModeState, header: Header, child_frame_id: str
) -> Odometry:
    """
    Return pose and body-frame twist as Odometry.

    Args:
        pose: of the body in ``header.frame_id``.
        state: its velocity along the body's own axes.
        header: time of arrival, odometry frame.
        child_frame_id: the body's frame.
    """
    message = Odometry(header=header, child_frame_id=child_frame_id)
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y, position.z = pose.position
    orientation.x, orientation.y, orientation.z, orientation.w = pose.orientation
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z = state.velocity or (0.0, 0.0, 0.0)
    if state.imu is None:
        angular.z = state.yaw_speed
    else:
        angular.x, angular.y, angular.z = state.imu.angular_velocity
    message.pose.covariance = _diagonal(POSE_VARIANCE)
    message.twist.covariance = _diagonal(TWIST_VARIANCE)
    return message


def to_imu(imu: Imu, header: Header) -> ImuMessage:
    """
    Return the IMU's sample (REP-145: gravity is in the acceleration, +9.81 upward at rest).

    Args:
        imu: orientation of the body in ``odom``, rates and accelerations along its axes.
        header: time of arrival, frame of the IMU, whose axes are the body's.
    """
    message = ImuMessage(header=header)
    orientation = message.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = imu.orientation
    rate, acceleration = message.angular_velocity, message.linear_acceleration
    rate.x, rate.y, rate.z = imu.angular_velocity
    acceleration.x, acceleration.y, acceleration.z = imu.linear_acceleration
    message.orientation_covariance = _diagonal(ORIENTATION_VARIANCE)
    message.angular_velocity_covariance = _diagonal(RATE_VARIANCE)
    message.linear_acceleration_covariance = _diagonal(ACCELERATION_VARIANCE)
    return message


def to_joint_state(motors: Sequence[Motor], header: Header) -> JointState:
    """Return the joint angles [rad]; what the wire does not give, rates and torques, is empty."""
    return JointState(
        header=header,
        name=list(JOINT_NAMES),
        position=[motor.position for motor in motors],
    )


def to_battery_state(battery: Battery, voltage: float, header: Header) -> BatteryState:
    """
    Return the battery: charge 0 to 1, V, A (negative while discharging), degree Celsius.

    Not known are the charge in Ah, the pack's design capacity as it is fitted, and the
    voltages of the cells; health follows from the temperature alone.
    """
    hottest = max(battery.temperatures)
    return BatteryState(
        header=header,
        voltage=voltage,
        temperature=hottest,
        current=battery.current,
        charge=math.nan,
        capacity=math.nan,
        design_capacity=math.nan,
        percentage=battery.charge,
        power_supply_status=_supply_status(battery),
        power_supply_health=(
            BatteryState.POWER_SUPPLY_HEALTH_OVERHEAT
            if hottest > HOT_BATTERY
            else BatteryState.POWER_SUPPLY_HEALTH_GOOD
        ),
        power_supply_technology=BatteryState.POWER_SUPPLY_TECHNOLOGY_LION,
        present=True,
        location='body',
    )


def _supply_status(battery: Battery) -> int:
    if battery.current < -IDLE_CURRENT:
        return int(BatteryState.POWER_SUPPLY_STATUS_DISCHARGING)
    if battery.charge >= 1.0:
        return int(BatteryState.POWER_SUPPLY_STATUS_FULL)
    if battery.current > IDLE_CURRENT:
        return int(BatteryState.POWER_SUPPLY_STATUS_CHARGING)
    return int(BatteryState.POWER_SUPPLY_STATUS_NOT_CHARGING)


def to_foot_force(readings: Sequence[float]) -> Float32MultiArray:
    """
    Return the raw readings under the feet, FR FL RR RL.

    An array of plain numbers, because their unit is not known: a message with one, as
    WrenchStamped in newton, would promise more than the robot says.
    """
    message = Float32MultiArray(data=list(readings))
    message.layout.dim = [
        MultiArrayDimension(label='FR FL RR RL', size=len(LEG_NAMES), stride=len(LEG_NAMES))
    ]
    return message


def to_transform(pose: RobotPose, header: Header, child_frame_id: str) -> TransformStamped:
    """Return the pose of ``child_frame_id`` in ``header.frame_id`` as a transform."""
    message = TransformStamped(header=header, child_frame_id=child_frame_id)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = pose.position
    rotation.x, rotation.y, rotation.z, rotation.w = pose.orientation
    return message


def to_compressed_image(frame: VideoFrame, quality: int, header: Header) -> CompressedImage:
    """Return a picture as JPEG; ``quality`` in percent, header as the Image's."""
    pixels = frame.to_ndarray(format='bgr24')
    _, jpeg = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = CompressedImage(header=header, format='bgr8; jpeg compressed bgr8')
    message.data = array.array('B', jpeg.tobytes())  # as a keyword it would be copied by element
    return message


def to_velocity(twist: Twist) -> Velocity:
    """Return the planar part of a Twist; raises InvalidCommand if it is not finite."""
    return Velocity(twist.linear.x, twist.linear.y, twist.angular.z)


def to_header(stamp: Time, frame_id: str) -> Header:
    """Return a header."""
    return Header(stamp=stamp, frame_id=frame_id)


def _diagonal(variances: tuple[float, ...]) -> NDArray[Any]:
    return np.diag(variances).ravel()
