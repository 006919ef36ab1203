"""Table 2: what is published, from which source of the robot, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import (
    BatteryState,
    CameraInfo,
    CompressedImage,
    Image,
    Imu,
    JointState,
    LaserScan,
    PointCloud2,
)
from std_msgs.msg import Float32MultiArray, Header

from ..config import DriverConfig
from ..protocol.topics import Topic
from ..session.lasting import CAMERA
from .calibration import Calibration
from .clouds import to_laser_scan, to_point_cloud
from .conversions import (
    to_battery_state,
    to_camera_info,
    to_compressed_image,
    to_foot_force,
    to_header,
    to_image,
    to_imu,
    to_joint_state,
    to_odometry,
    to_transform,
)
from .stamps import age, to_nanoseconds

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on PyPI; make setup builds it
    TFMessage = None

HAS_TF = TFMessage is not None
POSE, SPORT = Topic.ROBOT_POSE.value, Topic.SPORT_MODE_STATE.value
LONGEST_APART = 0.5  # s, between two samples that make one message; they come at 20 Hz
LONGEST_HELD = 3.0  # s, for which joint angles count; the robot tells them once a second
HELD = 'held'  # frame_id of joint angles that are older than their stamp
LOW, VOXELS = Topic.LOW_STATE.value, Topic.VOXEL_MAP.value


@dataclass(frozen=True)
class Context:
    """
    What conversions may look at besides their own sample.

    Attributes:
        config: the driver's parameters.
        calibrations: of the camera, each for a size of its pictures.
        latest: newest sample of every source so far, changed by :meth:`note`.
        stamps: when it came.
    """

    config: DriverConfig
    calibrations: Sequence[Calibration]
    latest: dict[str, Any] = field(default_factory=dict)
    stamps: dict[str, Time] = field(default_factory=dict)

    def note(self, source: str, sample: Any, stamp: Time) -> None:
        """Take the newest sample of a source."""
        self.latest[source], self.stamps[source] = sample, stamp

    def fresh(self, source: str, stamp: Time) -> Any:
        """Return the newest sample of a source if it goes with one of ``stamp``, else None."""
        if source not in self.latest:
            return None
        apart = abs(age(self.stamps[source], to_nanoseconds(stamp)))
        return self.latest[source] if apart < LONGEST_APART else None

    def header(self, stamp: Time, frame: str) -> Header:
        """Return a header; ``frame`` is the parameter that names the frame."""
        return to_header(stamp, self.config.frame(frame))


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
        also: other sources whose samples make a message too, if they come for another reason.
        costly: made only while somebody subscribes.
    """

    source: str
    topic: str
    message_type: type
    convert: Callable[[Any, Time, Context], Any]
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    costly: bool = False


def _image(frame: Any, stamp: Time, context: Context) -> Image:
    return to_image(frame, context.config.image_encoding, context.header(stamp, 'camera_frame'))


def _compressed(frame: Any, stamp: Time, context: Context) -> CompressedImage:
    header = context.header(stamp, 'camera_frame')
    return to_compressed_image(frame, context.config.jpeg_quality, header)


def _camera_info(frame: Any, stamp: Time, context: Context) -> CameraInfo:
    return to_camera_info(context.calibrations, frame, context.header(stamp, 'camera_frame'))


def _odometry(pose: Any, stamp: Time, context: Context) -> Odometry | None:
    state = context.fresh(SPORT, stamp)
    if state is None or state.velocity is None:
        return None
    header = context.header(stamp, 'odom_frame')
    return to_odometry(pose, state, header, context.config.frame('base_frame'))


def _transform(pose: Any, stamp: Time, context: Context) -> Any:
    if not context.config.publish_tf:
        return None
    header = context.header(stamp, 'odom_frame')
    transform = to_transform(pose, header, context.config.frame('base_frame'))
    return TFMessage(transforms=[transform])


def _imu(state: Any, stamp: Time, context: Context) -> Imu | None:
    if state.imu is None:
        return None
    return to_imu(state.imu, context.header(stamp, 'imu_frame'))


def _joint_state(sample: Any, stamp: Time, context: Context) -> JointState | None:
    """Return the angles, also with a pose: the legs come once a second, and go with the body."""
    state = context.latest.get(LOW)
    if state is None or state.motors is None:
        return None
    if age(context.stamps[LOW], to_nanoseconds(stamp)) > LONGEST_HELD:
        return None
    return to_joint_state(state.motors, to_header(stamp, '' if sample is state else HELD))


def _battery_state(state: Any, stamp: Time, context: Context) -> BatteryState | None:
    if state.battery is None:
        return None
    return to_battery_state(state.battery, state.voltage, context.header(stamp, 'base_frame'))


def _foot_force(state: Any, stamp: Time, context: Context) -> Float32MultiArray | None:
    return None if state.foot_force is None else to_foot_force(state.foot_force)


def _points(voxels: Any, stamp: Time, context: Context) -> PointCloud2:
    return to_point_cloud(voxels, stamp, context.config.frame('odom_frame'))


def _scan(voxels: Any, stamp: Time, context: Context) -> LaserScan | None:
    pose, config = context.fresh(POSE, stamp), context.config
    if pose is None:
        return None
    heights = (config.scan_min_height, config.scan_max_height)
    seen_from = context.stamps[POSE]  # whose transform is there already, and fits
    return to_laser_scan(voxels, pose, seen_from, config.frame('base_frame'), heights)


PUBLICATIONS: tuple[Publication, ...] = (
    Publication(CAMERA, 'camera/image_raw', Image, _image, costly=True),
    Publication(CAMERA, 'camera/image_raw/compressed', CompressedImage, _compressed, costly=True),
    Publication(CAMERA, 'camera/camera_info', CameraInfo, _camera_info),
    Publication(POSE, 'odom', Odometry, _odometry, needs=(SPORT,)),
    *((Publication(POSE, '/tf', TFMessage, _transform),) if HAS_TF else ()),
    Publication(SPORT, 'imu/data', Imu, _imu),
    Publication(LOW, 'joint_states', JointState, _joint_state, also=(POSE,)),
    Publication(LOW, 'battery_state', BatteryState, _battery_state),
    Publication(LOW, 'foot_force', Float32MultiArray, _foot_force),
    Publication(VOXELS, 'points', PointCloud2, _points, costly=True),
    Publication(VOXELS, 'scan', LaserScan, _scan, needs=(POSE,), costly=True),
)

ALWAYS = frozenset((SPORT, LOW))  # what diagnostics look at, and what shows that the robot lives


def wanted_sources(rows: Iterable[Publication]) -> frozenset[str]:
    """Return the sources that these rows, and the driver itself, need."""
    return ALWAYS.union(*((row.source, *row.needs) for row in rows))


def publisher_qos() -> QoSProfile:
    """Return the QoS of every publisher: reliable, so that it serves both kinds of subscriber."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=10,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )
