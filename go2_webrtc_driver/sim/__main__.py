"""``sim_robot``: a simulated Go2 on a loopback address."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from functools import partial

from ..protocol.cloud import TurnAccount
from .brain.apis import MODES
from .brain.robot import LYING, STANDING
from .options import Options
from .wire.cloud_server import CloudOptions, SimulatedCloud
from .wire.peer import SimulatedGo2, serve

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a simulated robot until SIGINT or SIGTERM; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if '--ros-args' in given:  # what launch_ros appends means nothing to a robot
        given = given[: given.index('--ros-args')]
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format='[%(levelname)s] [sim_robot]: %(message)s'
    )
    for chatty in ('aioice', 'aiohttp.access'):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    options = _parse(given)
    try:
        asyncio.run(_run(_robot_options(options), _cloud_options(options)))
    except OSError as error:
        logger.error('cannot listen on %s: %s', options.ip, error)
        return 1
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser('sim_robot', description=__doc__)
    parser.add_argument('--ip', default='127.0.0.1', help='address to listen on')
    _add_robot(parser)
    _add_cloud(parser.add_argument_group('simulated cloud'))
    given = parser.parse_args(arguments)
    if given.turn and given.cloud_port is None:
        parser.error('--turn is for the simulated cloud: give it a --cloud-port')
    return given


def _add_robot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--serial', default=Options.serial_number, help='its serial number')
    parser.add_argument(
        '--data2', type=int, choices=(1, 2, 3), default=2, help='scheme of the signaling'
    )
    parser.add_argument(
        '--old-signaling', action='store_true', help='have the signaling of before 1.1.11 only'
    )
    parser.add_argument(
        '--aes-key', default='00' * 16, help='key of this robot for --data2 3, 32 hex digits'
    )
    parser.add_argument(
        '--lowstate-rate', type=float, default=1.0, help='rate of rt/lf/lowstate [Hz]'
    )
    parser.add_argument('--lying', action='store_true', help='start lying down')
    parser.add_argument(
        '--mode', choices=MODES, default=Options.mode, help='motion mode; mcf since 1.1.7'
    )
    parser.add_argument(
        '--battery', type=_percent, default=Options.battery, help='charge at the start [%%]'
    )


def _add_cloud(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--cloud-port',
        type=int,
        help='serve it too, on --ip and this port, with the robot online; 0 takes a free port; '
        'without the option there is no cloud',
    )
    group.add_argument('--cloud-email', default=CloudOptions.email, help='of the account')
    group.add_argument('--cloud-password', default=CloudOptions.password, help='of the account')
    group.add_argument('--turn', help='TURN server that it lends out, as turn:host:port')
    group.add_argument('--turn-username', default='', help='at the TURN server')
    group.add_argument('--turn-password', default='', help='at the TURN server')


def _robot_options(given: argparse.Namespace) -> Options:
    return Options(
        ip=given.ip,
        scheme=given.data2,
        device_key=bytes.fromhex(given.aes_key),
        low_state_rate=given.lowstate_rate,
        posture=LYING if given.lying else STANDING,
        serial_number=given.serial,
        old_signaling=given.old_signaling,
        mode=given.mode,
        battery=given.battery,
    )


def _percent(text: str) -> float:
    """Return a percentage as a share, 0 to 1."""
    value = float(text)
    if not 0.0 <= value <= 100.0:
        raise argparse.ArgumentTypeError(f'expected 0 to 100, got {text}')
    return value / 100.0


def _cloud_options(given: argparse.Namespace) -> CloudOptions | None:
    if given.cloud_port is None:
        return None
    turn = TurnAccount(given.turn, given.turn_username, given.turn_password)
    return CloudOptions(
        ip=given.ip,
        port=given.cloud_port,
        email=given.cloud_email,
        password=given.cloud_password,
        turn=turn if given.turn else None,
        bound={given.serial: bytes.fromhex(given.aes_key) if given.data2 == 3 else None},
    )


async def _run(options: Options, cloud_options: CloudOptions | None) -> None:
    go2, ended = SimulatedGo2(options), _set_by_signals()
    if cloud_options is None:
        await serve(go2, ended.wait)
        return
    cloud = SimulatedCloud(cloud_options)
    cloud.robots[options.serial_number] = go2
    await serve(go2, partial(_serve_cloud, cloud, ended))


async def _serve_cloud(cloud: SimulatedCloud, ended: asyncio.Event) -> None:
    await cloud.start()
    logger.info('simulated cloud listens on %s', cloud.url)
    try:
        await ended.wait()
    finally:
        await cloud.stop()


def _set_by_signals() -> asyncio.Event:
    """Return what the first SIGINT or SIGTERM sets, from now on."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, arrived.set)
    return arrived


if __name__ == '__main__':
    sys.exit(main())
