"""``sim_robot``: a simulated Go2 on a loopback address."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from .peer import Options, serve
from .robot import LYING, STANDING


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
        asyncio.run(serve(options, _signal))
    except OSError as error:
        logging.getLogger(__name__).error('cannot listen on %s: %s', options.ip, error)
        return 1
    return 0


def _parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser('sim_robot', description=__doc__)
    parser.add_argument('--ip', default='127.0.0.1', help='address to listen on')
    parser.add_argument(
        '--data2', type=int, choices=(1, 2, 3), default=2, help='scheme of the signaling'
    )
    parser.add_argument(
        '--aes-key', default='00' * 16, help='key of this robot for --data2 3, 32 hex digits'
    )
    parser.add_argument(
        '--lowstate-rate', type=float, default=1.0, help='rate of rt/lf/lowstate [Hz]'
    )
    parser.add_argument('--lying', action='store_true', help='start lying down')
    given = parser.parse_args(arguments)
    return Options(
        ip=given.ip,
        scheme=given.data2,
        device_key=bytes.fromhex(given.aes_key),
        low_state_rate=given.lowstate_rate,
        posture=LYING if given.lying else STANDING,
    )


async def _signal() -> None:
    """Return at the first SIGINT or SIGTERM."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, arrived.set)
    await arrived.wait()


if __name__ == '__main__':
    sys.exit(main())
