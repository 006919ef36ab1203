import asyncio
import contextlib
import importlib
import json
import logging
import os
import socket
import subprocess
import sys

import aioice.ice
import aioice.turn
import aiortc
import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidStateError, OperationError
from support import PATIENCE, until

from go2_webrtc_driver.checks import race_probe
from go2_webrtc_driver.errors import ConfigError
from go2_webrtc_driver.link import aiortc_patch

CONNECT = '_RTCPeerConnection__connect'
aiortc_patch.apply()


# Two real peers on the loopback interface


def run(scenario):
    """Run a test's coroutine; afterwards no task and no file descriptor may be left."""

    async def main():
        with race_probe.loopback_only():
            before = descriptors()
            await asyncio.wait_for(scenario(), PATIENCE)
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
            await until(lambda: descriptors() == before)

    asyncio.run(main())


def descriptors():
    return len(os.listdir('/proc/self/fd'))


def peer():
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


@contextlib.asynccontextmanager
async def two_peers():
    """An offerer that has made its offer, and the answerer's answer to it."""
    pc, robot = peer(), peer()
    try:
        pc.createDataChannel('data')
        pc.addTransceiver('audio', 'recvonly')
        pc.addTransceiver('video', 'recvonly')
        await pc.setLocalDescription(await pc.createOffer())
        await robot.setRemoteDescription(pc.localDescription)
        for transceiver in robot.getTransceivers():
            transceiver.direction = 'sendonly'
        await robot.setLocalDescription(await robot.createAnswer())
        yield pc, robot.localDescription
    finally:
        await pc.close()
        await robot.close()


def primary(pc):
    return pc.getTransceivers()[0].receiver.transport.transport


def bundled_away(pc):
    return [pc.getTransceivers()[1].receiver.transport.transport, pc.sctp.transport.transport]


def hold(owner, name):
    """Let a method of a transport wait until the returned event is set."""
    method, release = getattr(owner, name), asyncio.Event()

    async def held(*arguments):
        await release.wait()
        return await method(*arguments)

    setattr(owner, name, held)
    return release


def record(owner, name):
    method, calls = getattr(owner, name), []

    def recorded(*arguments):
        calls.append(arguments)
        return method(*arguments)

    setattr(owner, name, recorded)
    return calls


async def suspended(pc, answer):
    """Return the task of a setRemoteDescription that waits, and what lets it go on."""
    release = hold(primary(pc), 'addRemoteCandidate')
    task = asyncio.ensure_future(pc.setRemoteDescription(answer))
    await until(lambda: aiortc_patch._gate(pc).shut_by is task)
    return task, release


async def cancelled(pc, answer):
    task, release = await suspended(pc, answer)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    release.set()


async def failed(pc, answer):
    spoilt = answer.sdp.replace('VP8/', 'XX/').replace('H264/', 'XX/').replace('rtx/', 'XX/')
    with pytest.raises(OperationError):
        await pc.setRemoteDescription(RTCSessionDescription(spoilt, 'answer'))


async def connected(pc):
    await until(lambda: pc.connectionState == 'connected')


# The race


def reproduce(**environment):
    command = [sys.executable, '-m', race_probe.__name__, '2']
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)


def test_without_the_patch_the_race_is_lost():
    assert reproduce(GO2_AIORTC_PATCH='off')['lost'] == 2


def test_with_the_patch_the_race_is_not_lost():
    found = reproduce(GO2_AIORTC_PATCH='on')
    assert (found['lost'], found['media'], found['other_errors']) == (0, 2, [])


# The gate


def test_connect_steps_aside_while_a_description_is_applied_and_the_next_one_connects():
    async def scenario():
        async with two_peers() as (pc, answer):
            task, release = await suspended(pc, answer)
            starts = record(primary(pc), 'start')
            await getattr(pc, CONNECT)()
            assert starts == []
            release.set()
            await task
            await connected(pc)

    run(scenario)


@pytest.mark.parametrize('spoil', [failed, cancelled])
def test_the_gate_stays_shut_after_a_spoilt_description_until_one_succeeds(spoil):
    async def scenario():
        async with two_peers() as (pc, answer):
            starts = record(primary(pc), 'start')
            await spoil(pc, answer)
            await getattr(pc, CONNECT)()
            assert starts == []
            await pc.setRemoteDescription(answer)
            await connected(pc)

    run(scenario)


def test_a_description_that_aiortc_refuses_unseen_does_not_shut_the_gate():
    async def scenario():
        async with two_peers() as (pc, answer):
            await pc.setRemoteDescription(answer)
            with pytest.raises(InvalidStateError):
                await pc.setRemoteDescription(answer)
            await connected(pc)

    run(scenario)


@pytest.mark.parametrize('items', ['9 0 1 2', '0 0 1 2'])
def test_a_bundle_group_of_unknown_or_repeated_m_lines_is_refused(items):
    async def scenario():
        async with two_peers() as (pc, answer):
            sdp = answer.sdp.replace('BUNDLE 0 1 2', f'BUNDLE {items}')
            with pytest.raises(ValueError, match='expected a BUNDLE group'):
                await pc.setRemoteDescription(RTCSessionDescription(sdp, 'answer'))
            await pc.setRemoteDescription(answer)
            await connected(pc)

    run(scenario)


def test_a_receiver_never_gets_none_even_with_the_gate_open(caplog):
    caplog.set_level(logging.DEBUG, aiortc_patch.__name__)

    async def scenario():
        async with two_peers() as (pc, answer):
            task, release = await suspended(pc, answer)
            received = record(pc.getTransceivers()[0].receiver, 'receive')
            aiortc_patch._gate(pc).shut_by = None
            await getattr(pc, CONNECT)()
            assert received == []
            assert 'the remote description is not there yet' in caplog.text
            release.set()
            await task
            await until(lambda: received)
            assert received[0][0] is not None

    run(scenario)


def test_connect_does_nothing_on_a_closed_connection():
    async def scenario():
        async with two_peers() as (pc, answer):
            await pc.setRemoteDescription(answer)
            starts = record(primary(pc), 'start')
            await pc.close()
            await getattr(pc, CONNECT)()
            assert starts == []

    run(scenario)


def test_a_connect_that_still_checks_ends_with_the_connection():
    async def scenario():
        async with two_peers() as (pc, answer):
            elsewhere = answer.sdp.replace('ice-pwd:', 'ice-pwd:wrong')
            await pc.setRemoteDescription(RTCSessionDescription(elsewhere, 'answer'))
            await until(lambda: primary(pc).state == 'checking')
            assert aiortc_patch._gate(pc).connects
            await pc.close()
            assert not aiortc_patch._gate(pc).connects

    run(scenario)


# The background stop


def test_setting_a_description_does_not_wait_for_bundled_away_transports_but_close_does():
    async def scenario():
        async with two_peers() as (pc, answer):
            away = bundled_away(pc)
            releases = [hold(ice._connection, 'close') for ice in away]
            await pc.setRemoteDescription(answer)
            await connected(pc)
            closing = asyncio.ensure_future(pc.close())
            await until(lambda: primary(pc).state == 'closed')
            assert not closing.done()
            for release in releases:
                release.set()
            await closing
            assert {ice.state for ice in away} == {'closed'}

    run(scenario)


@pytest.mark.parametrize('spoil', [failed, cancelled])
def test_nothing_is_left_when_a_connection_closes_after_a_spoilt_description(spoil):
    async def scenario():
        async with two_peers() as (pc, answer):
            away = bundled_away(pc)
            await spoil(pc, answer)
            await pc.close()
            assert {ice.state for ice in away} == {'closed'}

    run(scenario)


def test_a_connection_closed_while_its_description_is_applied_leaves_nothing():
    async def scenario():
        async with two_peers() as (pc, answer):
            task, release = await suspended(pc, answer)
            away = bundled_away(pc)
            await pc.close()
            assert {ice.state for ice in away} == {'closed'}
            release.set()
            await task

    run(scenario)


def test_a_transport_that_never_stops_does_not_hold_close_up(monkeypatch):
    monkeypatch.setattr(aiortc_patch, 'CLOSE_TIMEOUT', 0.05)

    async def scenario():
        async with two_peers() as (pc, answer):
            agent = bundled_away(pc)[0]._connection
            close = agent.close
            hold(agent, 'close')
            await pc.setRemoteDescription(answer)
            await pc.close()
            await close()

    run(scenario)


def test_a_connection_closes_to_the_end_although_who_closed_it_was_cancelled():
    async def scenario():
        async with two_peers() as (pc, answer):
            await pc.setRemoteDescription(answer)
            release = hold(primary(pc)._connection, 'close')
            closing = asyncio.ensure_future(pc.close())
            await until(lambda: primary(pc).state == 'closed')
            closing.cancel()
            await asyncio.wait([closing])
            release.set()
            await pc.close()
            assert aiortc_patch._gate(pc).closing.done()

    run(scenario)


# The end of a TURN allocation


ACCOUNT = {'username': 'u', 'password': 'p', 'lifetime': 600, 'channel_refresh_time': 500}


async def turn_client(server):
    return await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: aioice.turn.TurnClientUdpProtocol(server, **ACCOUNT), remote_addr=server
    )


def test_a_turn_server_that_never_answers_does_not_hold_the_delete_up(monkeypatch):
    monkeypatch.setattr(aiortc_patch, 'TURN_DELETE_TIMEOUT', 0.05)

    async def scenario():
        silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=('127.0.0.1', 0)
        )
        transport, client = await turn_client(silent.get_extra_info('sockname'))
        await client.delete()  # its retries alone would take a minute
        assert transport.is_closing()
        silent.close()

    run(scenario)


def test_a_turn_server_that_does_not_even_read_does_not_keep_the_socket_open(monkeypatch):
    monkeypatch.setattr(aiortc_patch, 'TURN_DELETE_TIMEOUT', 0.05)

    async def scenario():
        loop = asyncio.get_running_loop()
        with socket.create_server(('127.0.0.1', 0)) as listening:
            listening.setblocking(False)
            address = listening.getsockname()
            transport, client = await loop.create_connection(
                lambda: aioice.turn.TurnClientTcpProtocol(address, **ACCOUNT), *address
            )
            with (await loop.sock_accept(listening))[0]:
                transport.write(bytes(32 * 1024 * 1024))
                await client.delete()
                await until(lambda: transport.get_extra_info('socket').fileno() == -1)

    run(scenario)


@pytest.mark.parametrize('patience', [0.05, 60.0])
def test_the_turn_socket_closes_also_where_a_delete_cut_short_leaves_it_open(
    monkeypatch, patience
):
    monkeypatch.setattr(aiortc_patch, 'TURN_DELETE_TIMEOUT', patience)

    async def leaky_delete(self):
        await asyncio.Event().wait()
        self.transport.close()

    async def scenario():
        transport, client = await turn_client(('127.0.0.1', 9))
        deleting = asyncio.ensure_future(aiortc_patch._bounded_delete(leaky_delete)(client))
        await asyncio.sleep(0)
        if patience > 1.0:
            deleting.cancel()
        await asyncio.wait([deleting])
        assert transport.is_closing()

    run(scenario)


def test_an_allocation_that_is_cancelled_closes_its_socket():
    """aioice 0.10.2 left that to nobody when a TURN server did not answer."""

    async def scenario():
        loop = asyncio.get_running_loop()
        silent, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=('127.0.0.1', 0)
        )
        transport, client = await turn_client(silent.get_extra_info('sockname'))
        connecting = asyncio.ensure_future(client.connect())
        await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting])
        assert transport.is_closing()
        silent.close()

    run(scenario)


# Gathering that is given up


@pytest.mark.parametrize('turns', range(0, 14, 2))
def test_gathering_that_is_cancelled_leaves_nothing(turns):
    """The TURN server never answers: only what the cancelling ends is over."""

    async def scenario():
        loop = asyncio.get_running_loop()
        silent, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=('127.0.0.1', 0)
        )
        url = 'turn:{}:{}'.format(*silent.get_extra_info('sockname'))
        pc = RTCPeerConnection(RTCConfiguration([RTCIceServer(url, 'u', 'p')]))
        pc.addTransceiver('audio', 'recvonly')
        pc.addTransceiver('video', 'recvonly')
        gathering = asyncio.ensure_future(pc.setLocalDescription(await pc.createOffer()))
        for _ in range(turns):
            await asyncio.sleep(0)
        gathering.cancel()
        await asyncio.wait([gathering])
        await pc.close()
        silent.close()

    run(scenario)


# Applying it


def patched():
    return [
        vars(RTCPeerConnection),
        vars(aiortc.RTCIceTransport),
        vars(aioice.turn.TurnClientMixin),
        vars(aioice.ice.Connection),
        {'asks': aioice.ice.server_reflexive_candidate},
        {'allocates': aioice.turn.create_turn_endpoint},
    ]


def snapshot():
    return [dict(each) for each in patched()]


def fresh_process(script, **environment):
    """Run a script where nothing is patched yet and return what it said."""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout + done.stderr


# Between looking at a method and replacing it, every thread takes its time.
THREADS_AND_COPIES = """
import functools, importlib.util, logging, time
from concurrent.futures import ThreadPoolExecutor
from go2_webrtc_driver.link import aiortc_patch
logging.basicConfig(level=logging.DEBUG, format='%(message)s')
wraps = functools.wraps
functools.wraps = lambda method: (time.sleep(0.02), wraps(method))[1]
spec = importlib.util.find_spec(aiortc_patch.__name__)
copy = importlib.util.module_from_spec(spec)
import sys
sys.modules['copy_of_the_patch'] = copy
spec.loader.exec_module(copy)
with ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda apply: apply(), [{applies}]))
"""


@pytest.mark.parametrize(
    'applies', ['aiortc_patch.apply, ' * 4, 'aiortc_patch.apply, copy.apply, copy.apply']
)
def test_threads_and_copies_of_the_module_patch_once_between_them(applies):
    said = fresh_process(THREADS_AND_COPIES.format(applies=applies))
    assert said.count('_RTCPeerConnection__connect') == 1


def test_a_reloaded_module_does_not_patch_again():
    before = snapshot()
    importlib.reload(aiortc_patch).apply()
    assert snapshot() == before


LATE = """
import asyncio
from aiortc import RTCPeerConnection
async def main():
    connection = RTCPeerConnection()
    from go2_webrtc_driver.link import aiortc_patch
    aiortc_patch.apply()
    await connection.close()
    print('closed by the patch' if aiortc_patch._gate(connection).closing else 'missed')
asyncio.run(main())
"""


def test_the_patch_reaches_names_and_connections_made_before_it():
    assert 'closed by the patch' in fresh_process(LATE)


async def _another_form(self, surprise):
    pass


@pytest.mark.parametrize(
    ('owner', 'name', 'found'),
    [
        (RTCPeerConnection, CONNECT, _another_form),
        (RTCPeerConnection, CONNECT, lambda self: None),
        (RTCPeerConnection, CONNECT, None),
        (RTCPeerConnection, '_RTCPeerConnection__remoteRtp', None),
        (aiortc.RTCIceTransport, 'stop', None),
        (aioice.turn.TurnClientMixin, 'delete', None),
        (aioice.turn, 'create_turn_endpoint', None),
        (aioice.ice.Connection, 'gather_candidates', _another_form),
        (aioice.turn, 'TurnClientMixin', None),
    ],
)
def test_an_aiortc_with_other_internals_is_refused_and_left_alone(monkeypatch, owner, name, found):
    with monkeypatch.context() as mutilation:
        mutilation.setattr(owner, name, found)
        before = snapshot() if name != 'TurnClientMixin' else None
        with pytest.raises(ConfigError, match=rf'aiortc {aiortc.__version__} .*{name}.*, found '):
            aiortc_patch.apply()
        assert before is None or snapshot() == before


SWITCHED_OFF = """
import logging
logging.basicConfig(format='%(levelname)s %(message)s')
from aiortc import RTCPeerConnection
before = dict(vars(RTCPeerConnection))
from go2_webrtc_driver.link import aiortc_patch
aiortc_patch.apply()
aiortc_patch.apply()
print('unchanged' if dict(vars(RTCPeerConnection)) == before else 'changed')
"""


def test_the_patch_can_be_switched_off_and_says_so_once():
    said = fresh_process(SWITCHED_OFF, GO2_AIORTC_PATCH='off')
    assert 'unchanged' in said
    assert said.count('WARNING GO2_AIORTC_PATCH=off') == 1


def test_an_aiortc_that_the_patch_does_not_know_is_told_in_one_line(monkeypatch):
    monkeypatch.delattr(RTCPeerConnection, '_RTCPeerConnection__connect')
    with pytest.raises(ConfigError, match='is not one the patch knows'):
        aiortc_patch.apply()
