"""Table 2: what is published, from which source of the robot, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from ..config import DriverConfig
from ..connection.session import CAMERA
from ..protocol.topics import Topic
from .calibration import Calibration
from .conversions import to_camera_info, to_header, to_image, to_odometry

POSE, SPORT = Topic.ROBOT_POSE.value, Topic.SPORT_MODE_STATE.value


@dataclass(frozen=True)
class Context:
    """
    What conversions may look at besides their own sample.

    Attributes:
        config: the driver's parameters.
        calibration: of the camera.
        latest: newest sample of every source so far.
    """

    config: DriverConfig
    calibration: Calibration
    latest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """
    One topic of the node.

    Attributes:
        source: each sample of it makes one message.
        topic: name, relative to the node's namespace.
        message_type: ROS message class.
        convert: makes the message from (sample, stamp, context); None: nothing to say yet.
        needs: other sources whose newest sample ``convert`` looks at.
        costly: made only while somebody subscribes.
    """

    source: str
    topic: str
    message_type: type
    convert: Callable[[Any, Time, Context], Any]
    needs: tuple[str, ...] = ()
    costly: bool = False


def _image(frame: Any, stamp: Time, context: Context) -> Image:
    header = to_header(stamp, context.config.camera_frame)
    return to_image(frame, context.config.image_encoding, header)


def _camera_info(frame: Any, stamp: Time, context: Context) -> CameraInfo:
    header = to_header(stamp, context.config.camera_frame)
    return to_camera_info(context.calibration, frame, header)


def _odometry(pose: Any, stamp: Time, context: Context) -> Odometry | None:
    state = context.latest.get(SPORT)
    if state is None:
        return None
    header = to_header(stamp, context.config.odom_frame)
    return to_odometry(pose, state, header, context.config.base_frame)


PUBLICATIONS: tuple[Publication, ...] = (
    Publication(CAMERA, 'camera/image_raw', Image, _image, costly=True),
    Publication(CAMERA, 'camera/camera_info', CameraInfo, _camera_info),
    Publication(POSE, 'odom', Odometry, _odometry, needs=(SPORT,)),
)

SOURCES = frozenset(source for row in PUBLICATIONS for source in (row.source, *row.needs))


def publisher_qos() -> QoSProfile:
    """Return the QoS of every publisher: reliable, so that it serves both kinds of subscriber."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=10,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )
