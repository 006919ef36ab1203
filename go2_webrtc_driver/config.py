"""What an operator can set: one field here is one ROS parameter."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigError

ICE_SERVER = re.compile(
    r'stun:[\w.-]+(:\d{1,5})?|turns?:[\w.-]+(:\d{1,5})?(\?transport=(udp|tcp))?'
)


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

    connection_method: str = parameter(
        'local_sta',
        'Way to the robot: local_sta, on the same network; local_ap, on the Wi-Fi network that '
        'the robot makes; remote, over the cloud',
        choices=('local_sta', 'local_ap', 'remote'),
    )
    robot_ip: str = parameter(
        '', 'IP address of the robot, for local_sta; empty: found by serial_number'
    )
    serial_number: str = parameter(
        '', 'Serial number of the robot; needed for remote, and for local_sta without robot_ip'
    )
    region: str = parameter(
        'global', 'Where the account of the cloud is, for remote', choices=('global', 'cn')
    )
    cloud_url: str = parameter(
        '', "URL of another cloud than the region's, for remote; https, or http on this machine"
    )
    ice_servers: str = parameter(
        'stun:stun.l.google.com:19302',
        'URLs of STUN and TURN servers for remote, separated by blanks, that come before the '
        'TURN server the cloud names',
    )
    credentials_file: str = parameter(
        '',
        'Yaml file, readable by its owner only, with email, password, token and aes_key as far '
        'as they are needed; environment variables (UNITREE_EMAIL ...) come before it',
    )
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
    video_timeout: float = parameter(
        2.0,
        'Time without a picture after which the video is asked for again [s]; after three times '
        'in vain the link counts as lost',
        range=(0.5, 60.0),
    )
    on_link_lost: str = parameter(
        'reconnect',
        'What the driver does when a link is lost: reconnect, by itself; deactivate the node; '
        'shutdown, and end its process with status 1',
        choices=('reconnect', 'deactivate', 'shutdown'),
    )
    image_encoding: str = parameter(
        'bgr8', 'Encoding of camera/image_raw', choices=('bgr8', 'rgb8', 'mono8')
    )
    camera_info_file: str = parameter(
        '',
        'Camera calibration, a yaml file as camera_calibration writes it, also as file:// or '
        'package://; empty: the shipped one',
    )
    jpeg_quality: int = parameter(
        80, 'Quality of camera/image_raw/compressed [percent]', range=(1, 100), live=True
    )
    odom_frame: str = parameter('odom', 'Frame in which the robot reports its pose')
    base_frame: str = parameter('base_link', "Frame of the robot's body")
    imu_frame: str = parameter('imu_link', 'Frame of the IMU')
    camera_frame: str = parameter(
        'camera_optical_frame', 'Optical frame of the camera: z forward, x right, y down'
    )
    frame_prefix: str = parameter(
        '', 'Put before the name of every frame, to tell several robots apart; as "robot1/"'
    )
    publish_tf: bool = parameter(True, 'Whether to publish odom_frame -> base_frame on /tf')
    publish_static_tf: bool = parameter(
        True,
        'Whether to publish on /tf_static where imu_frame and camera_frame are in base_frame, as '
        'on any Go2',
    )
    scan_min_height: float = parameter(
        -0.15,
        'Lowest point of the lidar that counts for scan, in base_frame [m]',
        range=(-1.0, 2.0),
    )
    scan_max_height: float = parameter(
        0.25,
        'Highest point of the lidar that counts for scan, in base_frame [m]',
        range=(-1.0, 2.0),
    )
    cmd_vel_type: str = parameter(
        'twist',
        'Type of cmd_vel; a twist_stamped older than command_timeout is dropped',
        choices=('twist', 'twist_stamped'),
    )
    motion_interface: str = parameter(
        'sport',
        'How a Twist reaches the robot: sport, as Move, not filtered by its obstacle avoidance; '
        'obstacle_avoidance, filtered; joystick, as the stick of a remote, on robots that do not '
        'walk otherwise',
        choices=('sport', 'obstacle_avoidance', 'joystick'),
    )
    auto_stand: bool = parameter(
        False, 'Whether a Twist lets a robot that lies stand up; false: one warning'
    )
    allow_acrobatics: bool = parameter(
        False, 'Whether to offer services for flips, jumps and handstands'
    )
    allow_system_requests: bool = parameter(
        False,
        "Whether ~/request takes what changes or ends the robot's own system: its motion mode "
        '(motion_switcher) and its shell (bashrunner)',
    )
    speed_level: int = parameter(
        -2, "The robot's own speed level, -1 to 1; -2 leaves it as it is", range=(-2, 1), live=True
    )
    light_brightness: int = parameter(
        -1,
        'Brightness of the head light, 0 to 10; -1 leaves it as it is',
        range=(-1, 10),
        live=True,
    )
    volume: int = parameter(
        -1, 'Volume of the loudspeaker, 0 to 10; -1 leaves it as it is', range=(-1, 10), live=True
    )
    gait: str = parameter(
        '',
        'Gait: in the MCF mode static_walk, trot_run, classic_walk, free_walk or economic; empty '
        'leaves it as it is',
        choices=('', 'static_walk', 'trot_run', 'classic_walk', 'free_walk', 'economic'),
        live=True,
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
    max_linear_acceleration: float = parameter(
        2.5,
        'How fast the speed along x and y may grow [m/s^2]; slowing down is not limited',
        range=(0.1, 50.0),
        live=True,
    )
    max_angular_acceleration: float = parameter(
        3.2,
        'How fast the turn rate may grow [rad/s^2]; slowing down is not limited',
        range=(0.1, 50.0),
        live=True,
    )
    command_timeout: float = parameter(
        0.5, 'Age at which a Twist expires and the robot is stopped [s]', range=(0.05, 2.0)
    )
    blind_timeout: float = parameter(
        0.5,
        'Time without data from the robot after which it is stopped and takes no velocity, before '
        'the link counts as lost [s]',
        range=(0.1, 60.0),
    )
    command_rate: float = parameter(
        20.0, 'Rate at which a valid Twist is repeated to the robot [Hz]', range=(5.0, 50.0)
    )

    def frame(self, name: str) -> str:
        """Return the full name of the frame that the field ``name`` names."""
        return f'{self.frame_prefix}{getattr(self, name)}'

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            _check(each.name, each.metadata, type(each.default), getattr(self, each.name))
        if self.scan_min_height >= self.scan_max_height:
            raise ConfigError(
                f'scan_min_height: expected less than scan_max_height {self.scan_max_height}, '
                f'got {self.scan_min_height}'
            )
        _check_address(self.robot_ip)
        _check_serial_number(self.serial_number)
        _check_cloud_url(self.cloud_url)
        _check_ice_servers(self.ice_servers)


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


def _check_address(address: str) -> None:
    try:
        ip_address(address or '0.0.0.0')
    except ValueError:
        raise ConfigError(f'robot_ip: expected an IP address, got {address!r}') from None


def _check_serial_number(serial_number: str) -> None:
    if not re.fullmatch('[A-Za-z0-9_-]{0,64}', serial_number):
        raise ConfigError(
            f'serial_number: expected up to 64 letters and digits, got {serial_number!r}'
        )


def _check_cloud_url(url: str) -> None:
    """A password goes there: nobody on the way may read it, and none stands in it."""
    if url and not _is_private(url):
        raise ConfigError(f'cloud_url: expected https://host/, got {url!r}')


def _is_private(url: str) -> bool:
    """Whether what is sent to ``url`` is encrypted, or does not leave this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or '', parts.port  # a port that is none raises
    except ValueError:
        return False
    if not url.isprintable() or ' ' in url or not host or '@' in parts.netloc:
        return False
    return parts.scheme == 'https' or (parts.scheme == 'http' and _is_here(host))


def _is_here(host: str) -> bool:
    try:
        return host == 'localhost' or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_ice_servers(urls: str) -> None:
    for url in urls.split():
        if not ICE_SERVER.fullmatch(url):
            raise ConfigError(
                f'ice_servers: expected stun:host:port or turn:host:port, got {url!r}'
            )
