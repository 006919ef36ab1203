"""
The test procedure of the field report on aiortc's race, automated.

Its success criteria: none of the two errors, every connection succeeds, video within
10 s, control is responsive. Its cases: Remote, LocalSTA, LocalAP, rapid reconnection.
"""

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest
from remote import coturn, needs_coturn, remote_robot
from support import in_own_network, lan, simulated_robot, until

from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import commands
from go2_webrtc_driver.signaling.lan import AP_ADDRESS, AP_OFFER, LanSignaling

__all__ = ['coturn']  # a fixture
ERRORS = (
    "'NoneType' object has no attribute 'media'",
    "'NoneType' object has no attribute 'codecs'",
)
ATTEMPTS = 10
VIDEO_TIMEOUT = 10.0  # s


@asynccontextmanager
async def no_error_in_the_background():
    """Fail if a task ends with an exception that nobody retrieves."""
    errors = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: errors.append(str(context.get('exception') or context['message']))
    )
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert not [error for error in errors if error in ERRORS]
    assert not errors


async def connect_as_the_report_asks(signaling):
    """Connect, see video within 10 s, and have a Move answered while it runs."""
    async with open_link(signaling, VIDEO_TIMEOUT) as link:
        link.switch_video(True)
        assert await asyncio.wait_for(link.frames.get(), VIDEO_TIMEOUT)
        await link.request(commands.move(0.3, 0.0, 0.0), 5.0)
        assert await asyncio.wait_for(link.frames.get(), VIDEO_TIMEOUT)


async def is_free(go2):
    await until(lambda: go2.client is None)


@needs_coturn
def test_case_1_remote(coturn):
    async def main():
        async with no_error_in_the_background(), remote_robot(coturn) as remote:
            remote.relay.delay = 0.05
            for _ in range(ATTEMPTS):
                await connect_as_the_report_asks(remote.signaling())
                await is_free(remote.go2)

    asyncio.run(main())


def test_case_2_local_sta():
    async def main():
        async with no_error_in_the_background(), simulated_robot() as (go2, ip):
            for _ in range(ATTEMPTS):
                await connect_as_the_report_asks(lan(ip))
                await is_free(go2)

    asyncio.run(main())


@in_own_network(AP_ADDRESS)
def test_case_3_local_ap():
    async def main():
        async with no_error_in_the_background(), simulated_robot(ip=AP_ADDRESS) as (go2, _):
            for _ in range(ATTEMPTS):
                await connect_as_the_report_asks(LanSignaling(AP_ADDRESS, '', None, AP_OFFER))
                await is_free(go2)

    asyncio.run(main())


@pytest.mark.parametrize('times', [3, 20])
def test_case_4_rapid_reconnection(times):
    async def main():
        async with no_error_in_the_background(), simulated_robot() as (go2, ip):
            for _ in range(times):
                async with open_link(lan(ip), VIDEO_TIMEOUT) as link:
                    link.switch_video(True)
                    assert await asyncio.wait_for(link.frames.get(), VIDEO_TIMEOUT)
                await is_free(go2)

    asyncio.run(main())


@needs_coturn
@pytest.mark.parametrize('times', [3, 20])
def test_case_4_rapid_reconnection_remote(coturn, times):
    async def main():
        async with no_error_in_the_background(), remote_robot(coturn) as remote:
            for _ in range(times):
                async with open_link(remote.signaling(), VIDEO_TIMEOUT) as link:
                    link.switch_video(True)
                    assert await asyncio.wait_for(link.frames.get(), VIDEO_TIMEOUT)
                await is_free(remote.go2)

    asyncio.run(main())
