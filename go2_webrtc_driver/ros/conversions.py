"""Samples of the robot <-> ROS messages: pure functions, SI units, REP-103 frames."""

from __future__ import annotations

import array
from typing import Any, Protocol

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ..protocol.state import RobotPose, SportModeState
from ..velocity_gate import Velocity
from .calibration import Calibration

try:
    from cv_bridge import CvBridge
except (ImportError, AttributeError):  # not on PyPI; built against numpy 1 it fails with 2
    CvBridge = None

PIXEL_FORMATS = {'bgr8': 'bgr24', 'rgb8': 'rgb24', 'mono8': 'gray'}  # ROS: FFmpeg
POSE_VARIANCE = (1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3)  # m^2, rad^2: no source; drift is not in it
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


def to_camera_info(calibration: Calibration, frame: VideoFrame, header: Header) -> CameraInfo:
    """Return the calibration scaled to the size of ``frame``; ``header`` as the Image's."""
    scaled = calibration.scaled_to(frame.width, frame.height)
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
    linear.x, linear.y, linear.z = state.velocity
    angular.z = state.yaw_speed
    message.pose.covariance = _diagonal(POSE_VARIANCE)
    message.twist.covariance = _diagonal(TWIST_VARIANCE)
    return message


def to_velocity(twist: Twist) -> Velocity:
    """Return the planar part of a Twist; raises InvalidCommand if it is not finite."""
    return Velocity(twist.linear.x, twist.linear.y, twist.angular.z)


def to_header(stamp: Time, frame_id: str) -> Header:
    """Return a header."""
    return Header(stamp=stamp, frame_id=frame_id)


def _diagonal(variances: tuple[float, ...]) -> NDArray[Any]:
    return np.diag(variances).ravel()
