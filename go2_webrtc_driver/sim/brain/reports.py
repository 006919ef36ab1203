"""What the simulated robot says of its services and of its lidar, once a second."""

from __future__ import annotations

from ...protocol.actions import MCF
from ...protocol.state import LidarState, Service
from .sport import RELEASED

SPORT_SERVICES = (MCF, 'sport_mode', 'ai_sport')
PROTECTED = ('webrtc_bridge', 'motion_switcher')
OTHERS = ('obstacles_avoid', 'utlidar', 'vui_service', 'video_hub')
CLOUD_FREQUENCY = 15.4  # Hz, measured on a real robot
DIRT = 5  # %, likewise
CLOUD_SIZE = 1402  # points, as in the vendor's documentation
ROTATION_SPEED = 0.0  # what a real robot says here is not known


def services(mode: str) -> tuple[Service, ...]:
    """
    Return the services of a robot whose motion is in ``mode``.

    Their names are those that clients of real robots mention; the list is not complete.
    """
    running = {MCF: MCF, 'normal': 'sport_mode', 'ai': 'ai_sport', RELEASED: ''}[mode]
    return (
        *(Service(name, name == running, protected=False) for name in SPORT_SERVICES),
        *(Service(name, running=True, protected=True) for name in PROTECTED),
        *(Service(name, running=True, protected=False) for name in OTHERS),
    )


def lidar(on: bool, stamp: float) -> LidarState:
    """Return the state of the lidar; ``stamp`` is the robot's clock [s]."""
    return LidarState(
        stamp=stamp,
        error=0,
        dirt=DIRT,
        rotation_speed=ROTATION_SPEED,
        cloud_frequency=CLOUD_FREQUENCY * on,
        cloud_size=CLOUD_SIZE * on,
        packet_loss=0.0,
    )
