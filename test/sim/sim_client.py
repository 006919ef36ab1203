"""A client for the simulated robot: aiortc alone, with a data channel."""

import asyncio
import contextlib

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection


@contextlib.asynccontextmanager
async def offering(turn=None, legacy=False):
    """
    Yield a peer connection, its offer, and the first message on its data channel to be.

    Args:
        turn: account to use, and to put into the offer.
        legacy: write the application section in its older form.
    """
    account = [RTCIceServer(turn.url, turn.username, turn.password)] if turn else []
    peer = RTCPeerConnection(RTCConfiguration(account))
    peer._sctpLegacySdp = legacy
    peer.addTransceiver('audio', 'sendrecv')
    peer.addTransceiver('video', 'recvonly')
    heard = asyncio.get_running_loop().create_future()
    peer.createDataChannel('data').on('message', lambda m: heard.done() or heard.set_result(m))
    try:
        await peer.setLocalDescription(await peer.createOffer())
        offer = {'id': '', 'sdp': peer.localDescription.sdp, 'type': 'offer', 'token': ''}
        yield peer, {**offer, 'turnserver': turn.as_json()} if turn else offer, heard
    finally:
        await peer.close()


def lines(sdp, start):
    """Return the lines of ``sdp`` that begin so."""
    return [line for line in sdp.splitlines() if line.startswith(start)]
