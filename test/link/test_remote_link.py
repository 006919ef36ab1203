"""Links over the simulated cloud and a real TURN server, and what goes wrong on the way."""

import asyncio
import contextlib
import gc
import logging
import os
import random
import re
import time

import pytest
from remote import (
    LOGIN,
    SERIAL,
    TURN_PASSWORD,
    cloud_arguments,
    coturn,
    needs_coturn,
    remote_robot,
)
from support import free_address, process, until

from go2_webrtc_driver.errors import LinkBusy, LinkError, LinkRefused, LinkUnreachable
from go2_webrtc_driver.link.ice import has_relay
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import cloud, commands
from go2_webrtc_driver.signaling.account import Cloud
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.signaling.remote import RemoteSignaling
from go2_webrtc_driver.velocity import Velocity

__all__ = ['coturn']  # a fixture
pytestmark = needs_coturn


def silence_after_gathering(remote):
    """Let the TURN server fall silent once both sides have a relay."""
    answer = remote.go2.answer

    async def answer_then_silence(offer):
        answered = await answer(offer)
        remote.relay.silent = True
        return answered

    remote.go2.answer = answer_then_silence


async def closes_in_time(remote, link_context):
    begun = time.monotonic()
    await link_context.__aexit__(None, None, None)
    assert time.monotonic() - begun < 3.0  # what deactivate may take


def test_a_link_opens_on_the_direct_path_and_frees_the_robot(coturn):
    async def main():
        async with remote_robot(coturn) as remote:
            async with open_link(remote.signaling(), 10.0) as link:
                link.switch_video(True)
                assert await asyncio.wait_for(link.frames.get(), 10.0)
                assert has_relay(link._connection)
            await until(lambda: remote.go2.client is None)

    asyncio.run(main())


def test_without_a_direct_path_a_link_opens_through_the_turn_server(coturn):
    async def main():
        async with (
            remote_robot(coturn, relay_only=True) as remote,
            open_link(remote.signaling(), 10.0) as link,
        ):
            link.switch_video(True)
            assert await asyncio.wait_for(link.frames.get(), 10.0)
            link.move(Velocity(0.3))
            await link.stop_and_confirm()

    asyncio.run(main())


def test_a_turn_server_that_loses_a_fifth_of_everything_costs_a_few_attempts_at_most(coturn):
    async def main():
        async with remote_robot(coturn, relay_only=True) as remote:
            remote.relay.loss = 0.2
            for left in (2, 1, 0):
                try:
                    async with open_link(remote.signaling(), 20.0) as link:
                        await link.request(commands.STOP_MOVE, 10.0)
                        return
                except LinkError:  # the robot gives a client up that says nothing for 10 s
                    if not left:
                        raise

    asyncio.run(main())


def test_a_turn_server_that_falls_silent_does_not_hold_up_a_direct_path_nor_the_close(coturn):
    async def main():
        async with remote_robot(coturn) as remote:
            silence_after_gathering(remote)
            opening = open_link(remote.signaling(), 2.0)
            link = await opening.__aenter__()
            link.switch_video(True)
            assert await asyncio.wait_for(link.frames.get(), 10.0)
            await closes_in_time(remote, opening)

    asyncio.run(main())


def test_without_a_path_the_link_is_unreachable_within_its_time(coturn):
    async def main():
        async with remote_robot(coturn, relay_only=True) as remote:
            silence_after_gathering(remote)
            begun = time.monotonic()
            with pytest.raises(LinkUnreachable, match=f'robot {SERIAL}: expected .* within 2 s'):
                async with open_link(remote.signaling(), 2.0):
                    pass
            assert time.monotonic() - begun < 2.0 + 3.0

    asyncio.run(main())


def test_wrong_turn_credentials_are_a_warning_where_there_is_a_direct_path(coturn, caplog):
    async def main():
        async with (
            remote_robot(coturn, turn_password='wrong-password') as remote,
            open_link(remote.signaling(), 10.0),
        ):
            assert f'robot {SERIAL}: expected a relay of the TURN server, got none' in caplog.text

    asyncio.run(main())


def test_wrong_turn_credentials_are_named_where_there_is_no_path(coturn):
    async def main():
        async with remote_robot(coturn, turn_password='wrong-password', relay_only=True) as remote:
            with pytest.raises(LinkUnreachable, match='expected a relay of the TURN') as error:
                async with open_link(remote.signaling(), 3.0):
                    pass
            assert 'wrong-password' not in str(error.value)

    asyncio.run(main())


def test_a_robot_that_is_not_online_is_unreachable(coturn):
    async def main():
        async with remote_robot(coturn) as remote:
            remote.cloud.robots.clear()
            with pytest.raises(LinkUnreachable, match=r'webrtc/connect: .*not online'):
                async with open_link(remote.signaling(), 10.0):
                    pass

    asyncio.run(main())


def test_a_robot_that_serves_another_client_is_busy(coturn):
    async def main():
        async with remote_robot(coturn) as remote, open_link(remote.signaling(), 10.0):
            with pytest.raises(LinkBusy, match=SERIAL):
                async with open_link(remote.signaling(), 10.0):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize('expire', ['expire_tokens', 'expire_everything'])
def test_tokens_that_expire_between_two_links_are_renewed(coturn, expire):
    async def main():
        async with remote_robot(coturn) as remote:
            for _ in range(2):
                async with open_link(remote.signaling(), 10.0):
                    pass
                await until(lambda: remote.go2.client is None)
                getattr(remote.cloud, expire)()
            used = remote.cloud.calls
            assert used.count(cloud.LOGIN) == (1 if expire == 'expire_tokens' else 2)

    asyncio.run(main())


def test_no_secret_is_logged(coturn, caplog):
    caplog.set_level(logging.DEBUG)

    async def main():
        async with remote_robot(coturn) as remote:
            async with open_link(remote.signaling(), 10.0):
                token = remote.account.access_token
            remote.cloud.robots.clear()
            with pytest.raises(LinkError):
                async with open_link(remote.signaling(), 10.0):
                    pass
            ours = [r.getMessage() for r in caplog.records if r.name.startswith('go2_webrtc')]
            assert ours
            for secret in (LOGIN.password, TURN_PASSWORD, LOGIN.email, token):
                assert not [line for line in ours if secret in line]

    asyncio.run(main())


@contextlib.contextmanager
def robot_process(coturn):
    """Run robot and cloud in a process of their own; yields our account at the cloud."""
    arguments = cloud_arguments(free_address(), coturn)
    with process('go2_webrtc_driver.sim', *arguments, ready='cloud listens on') as robot:
        yield Cloud(re.search(r'cloud listens on (\S+)', robot.text)[1], SERIAL, LOGIN)


def signaling(account, serial_number=SERIAL):
    return RemoteSignaling(account, serial_number, ())


async def refused(attempt, error=LinkError):
    with pytest.raises(error):
        async with open_link(attempt, 10.0):
            pass


async def fail_in_every_way(account, busy):
    """Be turned away, find nobody, and give up in the middle."""
    await refused(signaling(busy), LinkBusy)
    await refused(signaling(account, 'ANOTHER'), LinkRefused)
    stranger = Cloud(account._url, SERIAL, Credentials(email='me', password='wrong'))
    await refused(signaling(stranger), LinkRefused)
    opening = asyncio.ensure_future(open_link(signaling(account), 10.0).__aenter__())
    await asyncio.sleep(random.uniform(0.0, 0.02))
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


def leftovers():
    gc.collect()
    return (
        len(asyncio.all_tasks()), len(os.listdir('/proc/self/fd')),
        len(os.listdir('/proc/self/task')),
    )  # fmt: skip


def test_nothing_is_left_behind_by_failures(coturn):
    """The robots are processes of their own: what is counted is ours alone."""

    async def main(account, busy):
        async with open_link(signaling(busy), 10.0):
            await fail_in_every_way(account, busy)
            begin = leftovers()
            for _ in range(5):
                await fail_in_every_way(account, busy)
            await until(lambda: all(a <= b for a, b in zip(leftovers(), begin, strict=True)))

    with robot_process(coturn) as account, robot_process(coturn) as busy:
        asyncio.run(main(account, busy))
