"""The ways to a robot: which one the parameters choose, and whether they suffice for it."""

from __future__ import annotations

from collections.abc import Callable

from ..config import DriverConfig
from ..errors import ConfigError
from ..protocol import cloud
from .account import Cloud
from .attempt import IceServer, Signaling
from .credentials import Credentials
from .lan import AP_ADDRESS, AP_OFFER, STA_OFFER, LanSignaling
from .remote import RemoteSignaling

SignalingFactory = Callable[[], Signaling]


def signaling_factory(config: DriverConfig, credentials: Credentials) -> SignalingFactory:
    """
    Return what makes the signaling for one attempt to connect.

    Raises:
        ConfigError: ``connection_method`` needs a parameter or a secret that is not given.
    """
    return _METHODS[config.connection_method](config, credentials)


def _local_sta(config: DriverConfig, credentials: Credentials) -> SignalingFactory:
    if not (config.robot_ip or config.serial_number):
        raise ConfigError(
            "connection_method local_sta: expected the robot's robot_ip or serial_number, "
            'both are empty'
        )
    return lambda: LanSignaling(
        config.robot_ip, config.serial_number, credentials.device_key, STA_OFFER
    )


def _local_ap(config: DriverConfig, credentials: Credentials) -> SignalingFactory:
    if config.robot_ip not in ('', AP_ADDRESS):
        raise ConfigError(
            f'connection_method local_ap: the robot is at {AP_ADDRESS}, '
            f'got robot_ip {config.robot_ip}; for another address choose local_sta'
        )
    return lambda: LanSignaling(AP_ADDRESS, config.serial_number, credentials.device_key, AP_OFFER)


def _remote(config: DriverConfig, credentials: Credentials) -> SignalingFactory:
    if not config.serial_number:
        raise ConfigError('connection_method remote: expected serial_number, it is empty')
    if not (credentials.token or (credentials.email and credentials.password)):
        raise ConfigError(
            'connection_method remote: expected a token, or email and password, in '
            'credentials_file or in the environment (UNITREE_EMAIL, UNITREE_PASSWORD, '
            'UNITREE_TOKEN)'
        )
    url = config.cloud_url or cloud.URLS[config.region]
    account = Cloud(url.rstrip('/') + '/', config.serial_number, credentials)
    servers = _ice_servers(config, credentials)
    return lambda: RemoteSignaling(account, config.serial_number, servers)


def _ice_servers(config: DriverConfig, credentials: Credentials) -> tuple[IceServer, ...]:
    return tuple(
        IceServer(url, credentials.turn_username, credentials.turn_password)
        for url in config.ice_servers.split()
    )


_METHODS = {'local_sta': _local_sta, 'local_ap': _local_ap, 'remote': _remote}
