import asyncio
import os
import subprocess
import sys
import time

import aioice.turn
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from go2_webrtc_driver.connection import aiortc_patch
from go2_webrtc_driver.errors import ConfigError

CONNECT = '_RTCPeerConnection__connect'
aiortc_patch.apply()

# The race in one process: the answerer on a loop of its own, signaling that blocks the
# offerer's loop, and a slow stop of the bundled-away transports, as behind TURN.
REPRODUCER = """
import asyncio, logging, sys, threading
import aioice
from aiortc import RTCPeerConnection
if sys.argv[1] == 'patched':
    from go2_webrtc_driver.connection import aiortc_patch
    aiortc_patch.apply()
faults = []
answerer_loop = asyncio.new_event_loop()
threading.Thread(target=answerer_loop.run_forever, daemon=True).start()

async def answer(offer):
    pc = RTCPeerConnection()
    answerer_loop.pc = pc
    pc.addTransceiver('audio', 'sendrecv')
    pc.addTransceiver('video', 'sendrecv')
    await pc.setRemoteDescription(offer)
    await pc.setLocalDescription(await pc.createAnswer())
    return pc.localDescription

async def main():
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: faults.append(context.get('exception')))
    close = aioice.Connection.close
    async def slow_close(self):
        await asyncio.sleep(0.3)
        await close(self)
    pc = RTCPeerConnection()
    opened = asyncio.Event()
    channel = pc.createDataChannel('data')
    channel.on('open', opened.set)
    pc.addTransceiver('audio', 'sendrecv')
    pc.addTransceiver('video', 'recvonly')
    await pc.setLocalDescription(await pc.createOffer())
    answered = asyncio.run_coroutine_threadsafe(answer(pc.localDescription), answerer_loop)
    description = answered.result(10)
    aioice.Connection.close = slow_close
    import aiortc.rtcicetransport
    aiortc.rtcicetransport.Connection.close = slow_close
    await pc.setRemoteDescription(description)
    await asyncio.wait_for(opened.wait(), 10)
    await asyncio.sleep(0)
    import gc; gc.collect()
    await asyncio.sleep(0)
    await pc.close()

asyncio.run(main())
print('FAULTS', [str(fault) for fault in faults])
"""


def reproduce(mode, environment=None):
    done = subprocess.run(
        [sys.executable, '-c', REPRODUCER, mode], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert 'FAULTS' in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_without_the_patch_the_race_is_lost():
    assert "NoneType' object has no attribute 'media'" in reproduce('unpatched')


def test_with_the_patch_the_race_is_not_there():
    assert 'FAULTS []' in reproduce('patched')


async def offerer():
    pc = RTCPeerConnection()
    pc.createDataChannel('data')
    pc.addTransceiver('audio', 'sendrecv')
    pc.addTransceiver('video', 'recvonly')
    await pc.setLocalDescription(await pc.createOffer())
    return pc


async def answer_to(pc):
    robot = RTCPeerConnection()
    await robot.setRemoteDescription(pc.localDescription)
    await robot.setLocalDescription(await robot.createAnswer())
    return robot


def test_bundled_away_transports_stop_in_the_background_and_are_gone_after_close():
    async def main():
        pc = await offerer()
        robot = await answer_to(pc)
        away = [pc.getTransceivers()[1].receiver.transport, pc.sctp.transport]
        release = asyncio.Event()
        for dtls in away:
            close = dtls.transport._connection.close

            async def held(close=close):
                await release.wait()
                await close()

            dtls.transport._connection.close = held
        await asyncio.wait_for(pc.setRemoteDescription(robot.localDescription), 5.0)
        asyncio.get_running_loop().call_later(0.1, release.set)
        await pc.close()
        assert {dtls.transport.state for dtls in away} == {'closed'}
        await robot.close()
        await asyncio.sleep(0.1)  # tasks of closed sockets end in the next turns
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_transport_that_never_stops_does_not_hold_close_up(monkeypatch):
    monkeypatch.setattr(aiortc_patch, 'CLOSE_TIMEOUT', 0.1)

    async def main():
        pc = await offerer()
        robot = await answer_to(pc)
        connection = pc.sctp.transport.transport._connection
        close = connection.close
        connection.close = asyncio.Event().wait
        await pc.setRemoteDescription(robot.localDescription)
        await asyncio.wait_for(pc.close(), 5.0)
        await close()
        await robot.close()

    asyncio.run(main())


@pytest.mark.parametrize('cancelled', [False, True])
def test_the_gate_stays_shut_after_a_failed_description(cancelled):
    async def main():
        pc = await offerer()
        robot = await answer_to(pc)
        ice = pc.getTransceivers()[0].receiver.transport.transport
        started = []
        ice.start = lambda parameters: started.append(parameters)
        if cancelled:
            task = asyncio.ensure_future(pc.setRemoteDescription(robot.localDescription))
            ice.addRemoteCandidate = lambda candidate: asyncio.Event().wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            bad = robot.localDescription.sdp.replace('m=video', 'm=video 9 X', 1)
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever aiortc raises
                await pc.setRemoteDescription(RTCSessionDescription(bad, 'answer'))
        await getattr(pc, CONNECT)()
        assert started == []
        await pc.close()
        await robot.close()

    asyncio.run(main())


def test_a_turn_server_that_never_answers_does_not_hold_the_delete_up(monkeypatch):
    monkeypatch.setattr(aiortc_patch, 'TURN_DELETE_TIMEOUT', 0.05)

    async def main():
        loop = asyncio.get_running_loop()
        silent, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=('127.0.0.1', 0)
        )
        transport, client = await loop.create_datagram_endpoint(
            lambda: aioice.turn.TurnClientUdpProtocol(
                silent.get_extra_info('sockname'), username='u', password='p', lifetime=600,
                channel_refresh_time=500,
            ),
            local_addr=('127.0.0.1', 0),
        )  # fmt: skip
        before = time.monotonic()
        await client.delete()
        assert time.monotonic() - before < 5.0  # its retries alone take a minute
        assert transport.is_closing()
        silent.close()

    asyncio.run(main())


def test_the_patch_is_applied_once():
    aiortc_patch.apply()
    before = getattr(RTCPeerConnection, CONNECT)
    aiortc_patch.apply()
    assert getattr(RTCPeerConnection, CONNECT) is before


def test_an_aiortc_without_the_known_internals_is_refused(monkeypatch):
    monkeypatch.setattr(RTCPeerConnection, CONNECT, lambda self, surprise: None)
    with pytest.raises(ConfigError, match='expected async RTCPeerConnection'):
        aiortc_patch.apply()
    monkeypatch.undo()


def test_the_patch_can_be_switched_off_to_see_the_bug():
    assert "NoneType' object has no attribute 'media'" in reproduce(
        'patched', {'GO2_AIORTC_PATCH': 'off'}
    )
