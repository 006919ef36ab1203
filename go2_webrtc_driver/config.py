"""What an operator can set: one field here is one ROS parameter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from .errors import ConfigError


def parameter(
    default: Any,
    description: str,
    *,
    range: tuple[float, float] | None = None,
    choices: tuple[str, ...] | None = None,
    live: bool = False,
) -> Any:
    """
    Declare a parameter.

    Args:
        default: value and, by its type, the parameter's type.
        description: what it does, with the unit in brackets.
        range: smallest and largest value allowed.
        choices: the values allowed.
        live: may change while the node is configured or active.
    """
    metadata = {'description': description, 'range': range, 'choices': choices, 'live': live}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DriverConfig:
    """
    Parameters of the driver node; ``config/go2.yaml`` lists the same names and defaults.

    Raises:
        ConfigError: a value has the wrong type, or is not allowed; names the parameter.
    """

    robot_ip: str = parameter('192.168.12.1', 'IP address of the robot')
    connect_timeout: float = parameter(
        10.0, 'Longest time one attempt to connect may take [s]', range=(1.0, 120.0)
    )
    wait_for_robot: bool = parameter(
        True,
        'True: activate returns once the robot has sent its first data, and fails if it cannot be '
        'reached; false: activate returns at once and the driver keeps trying',
    )
    silence_timeout: float = parameter(
        3.0, 'Silence of the robot that means a lost link [s]', range=(0.5, 60.0)
    )
    image_encoding: str = parameter(
        'bgr8', 'Encoding of camera/image_raw', choices=('bgr8', 'rgb8', 'mono8')
    )
    camera_info_file: str = parameter(
        '',
        'Camera calibration, a yaml file as camera_calibration writes it; empty: the shipped one',
    )
    odom_frame: str = parameter('odom', 'Frame in which the robot reports its pose')
    base_frame: str = parameter('base_link', "Frame of the robot's body")
    camera_frame: str = parameter(
        'camera_optical_frame', 'Optical frame of the camera: z forward, x right, y down'
    )
    max_linear_x: float = parameter(
        1.0, 'Limit of |linear.x| of cmd_vel [m/s]', range=(0.0, 2.5), live=True
    )
    max_linear_y: float = parameter(
        0.5, 'Limit of |linear.y| of cmd_vel [m/s]', range=(0.0, 1.0), live=True
    )
    max_angular_z: float = parameter(
        1.5, 'Limit of |angular.z| of cmd_vel [rad/s]', range=(0.0, 4.0), live=True
    )
    command_timeout: float = parameter(
        0.5, 'Age at which a Twist expires and the robot is stopped [s]', range=(0.05, 2.0)
    )
    command_rate: float = parameter(
        20.0, 'Rate at which a valid Twist is repeated to the robot [Hz]', range=(5.0, 50.0)
    )

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            _check(each.name, each.metadata, type(each.default), getattr(self, each.name))
        try:
            ip_address(self.robot_ip)
        except ValueError:
            raise ConfigError(f'robot_ip: expected an IP address, got {self.robot_ip!r}') from None


def _check(name: str, metadata: Mapping[str, Any], wanted: type[Any], value: Any) -> None:
    """Raise ConfigError unless ``value`` has the declared type, range and choice."""
    if type(value) is not wanted:
        raise ConfigError(f'{name}: expected a {wanted.__name__}, got {value!r}')
    if bounds := metadata['range']:
        low, high = bounds
        if not (math.isfinite(value) and low <= value <= high):
            raise ConfigError(f'{name}: expected {low} to {high}, got {value!r}')
    if (choices := metadata['choices']) and value not in choices:
        raise ConfigError(f'{name}: expected one of {", ".join(choices)}, got {value!r}')
    if name.endswith('_frame') and not value:
        raise ConfigError(f'{name}: expected the name of a frame, got an empty string')
