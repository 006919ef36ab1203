"""Signaling on the LAN with a robot whose HTTP server has manners of its own."""

import asyncio
import contextlib

from aiortc import RTCPeerConnection
from support import free_address, simulated_robot

from go2_webrtc_driver.protocol import offer_answer as offers
from go2_webrtc_driver.signaling.attempt import Progress
from go2_webrtc_driver.signaling.lan import STA_OFFER, LanSignaling


@contextlib.asynccontextmanager
async def closing_after_each_response(robot_ip):
    """A server before the robot's that ends each connection after one response, unannounced."""
    ip, connections = free_address(), []

    async def serve(reader, writer):
        connections.append(writer)
        head = await reader.readuntil(b'\r\n\r\n')
        length = next(
            (int(line.split(b':')[1]) for line in head.split(b'\r\n')
             if line.lower().startswith(b'content-length')), 0,
        )  # fmt: skip
        body = await reader.readexactly(length)
        robot_reader, robot_writer = await asyncio.open_connection(robot_ip, offers.PORT)
        kept = b'\r\n'.join(
            line for line in head.split(b'\r\n') if not line.lower().startswith(b'connection:')
        )
        robot_writer.write(kept.replace(b'\r\n', b'\r\nConnection: close\r\n', 1) + body)
        answer = await robot_reader.read()
        writer.write(answer.replace(b'Connection: close\r\n', b''))
        await writer.drain()
        writer.close()
        robot_writer.close()

    listening = await asyncio.start_server(serve, ip, offers.PORT)
    try:
        yield ip, connections
    finally:
        listening.close()


def test_a_server_that_closes_after_each_response_is_asked_over_a_connection_for_each():
    """aiohttp reused the first one, and 0 of 72 links opened."""

    async def main():
        async with (
            simulated_robot() as (_, robot_ip),
            closing_after_each_response(robot_ip) as (ip, connections),
        ):
            connection = RTCPeerConnection()
            connection.createDataChannel('data')
            connection.addTransceiver('audio', 'sendrecv')
            connection.addTransceiver('video', 'recvonly')
            await connection.setLocalDescription(await connection.createOffer())
            async with LanSignaling(ip, '', None, STA_OFFER) as signaling:
                sdp = connection.localDescription.sdp
                answer = await signaling.exchange(sdp, Progress('robot'))
            assert answer.type == 'answer'
            assert len(connections) == 2
            await connection.close()

    asyncio.run(main())
