"""Where IMU and camera are on the body: fixed transforms, published once on /tf_static."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile

from ..config import DriverConfig
from .conversions import to_header

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on PyPI
    TFMessage = None


@dataclass(frozen=True)
class Mount:
    """
    A frame fixed on another one; its numbers are those of ``urdf/go2.urdf``.

    Attributes:
        parent: field of the configuration that names the frame, or a name.
        child: the same of the frame that is fixed on it.
        translation: of the child in the parent [m].
        rotation: of the child in the parent, a quaternion x, y, z, w.
    """

    parent: str
    child: str
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)


# The same links as in the URDF, so that tf stays a tree beside robot_state_publisher.
MOUNTS = (
    Mount('base_frame', 'imu_frame', (-0.02557, 0.0, 0.04232)),
    Mount('base_frame', 'camera_link', (0.32715, -0.00003, 0.04297)),
    Mount('camera_link', 'camera_frame', rotation=(-0.5, 0.5, -0.5, 0.5)),
)


def to_transforms(config: DriverConfig, stamp: Time) -> list[TransformStamped]:
    """Return the mounts as transforms between the frames that the configuration names."""
    named = ((_name(config, each.parent), _name(config, each.child), each) for each in MOUNTS)
    return [
        _to_transform(stamp, parent, child, mount)
        for parent, child, mount in named
        if parent != child  # who calls both alike takes them for one
    ]


def publish_mounts(node: Any, config: DriverConfig) -> Any:
    """Publish the mounts, transient local; return the publisher, or None if there is none."""
    if TFMessage is None or not config.publish_static_tf:
        return None
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(TFMessage, '/tf_static', qos)
    stamp = node.get_clock().now().to_msg()
    publisher.publish(TFMessage(transforms=to_transforms(config, stamp)))
    return publisher


def _name(config: DriverConfig, frame: str) -> str:
    return config.frame(frame) if hasattr(config, frame) else f'{config.frame_prefix}{frame}'


def _to_transform(stamp: Time, parent: str, child: str, mount: Mount) -> TransformStamped:
    message = TransformStamped(header=to_header(stamp, parent), child_frame_id=child)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = mount.translation
    rotation.x, rotation.y, rotation.z, rotation.w = mount.rotation
    return message
