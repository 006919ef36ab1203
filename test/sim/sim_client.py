"""A client for the simulated robot: aiortc alone, with a data channel."""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription


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


class Talk:
    """A valid client's end of the data channel."""

    def __init__(self, channel):
        self._channel = channel
        self._numbers = itertools.count(1)
        self._heard = asyncio.Queue()
        channel.on('message', self._heard.put_nowait)

    def send(self, kind, topic='', data=None):
        self._channel.send(json.dumps({'type': kind, 'topic': topic, 'data': data}))

    async def hear(self, wanted, timeout=5.0):
        """Return the next message for which ``wanted(message)`` holds; drop those before."""
        return await asyncio.wait_for(self._hear(wanted), timeout)

    async def _hear(self, wanted):
        while True:
            raw = await self._heard.get()
            message = json.loads(raw) if isinstance(raw, str) else {'type': 'frame'}
            if wanted(message):
                return message

    async def hear_nothing_like(self, wanted, duration):
        try:
            found = await self.hear(wanted, duration)
        except asyncio.TimeoutError:
            return
        raise AssertionError(f'heard {found}')

    async def ask(self, topic, api_id, parameter='', kind='req'):
        """Send a request and return the status and the content of its response."""
        number = self.request(topic, api_id, parameter, kind)

        def answers(message):
            return message['type'] == 'res' and identity(message) == number

        response = await self.hear(answers)
        assert response['topic'] == topic.removesuffix('request') + 'response'
        content = response['data']['data']
        return response['data']['header']['status']['code'], content and json.loads(content)

    def request(self, topic, api_id, parameter='', kind='req'):
        """Send a request; return its number."""
        number = next(self._numbers)
        header = {'identity': {'id': number, 'api_id': api_id}}
        text = parameter if isinstance(parameter, str) else json.dumps(parameter)
        self.send(kind, topic, {'header': header, 'parameter': text})
        return number

    async def topic(self, name):
        """Subscribe and return the content of the next message on a topic."""
        self.send('subscribe', name)
        message = await self.hear(lambda m: m['type'] == 'msg' and m['topic'] == name)
        return json.loads(message['data']) if isinstance(message['data'], str) else message['data']


def identity(message):
    return message['data']['header']['identity']['id']


@contextlib.asynccontextmanager
async def talking(go2):
    """Yield a valid client's end of the data channel, and the faults it was told at first."""
    peer = RTCPeerConnection(RTCConfiguration([]))
    peer.addTransceiver('audio', 'sendrecv')
    peer.addTransceiver('video', 'recvonly')
    talk = Talk(peer.createDataChannel('data'))
    try:
        await peer.setLocalDescription(await peer.createOffer())
        offer = {'sdp': peer.localDescription.sdp, 'type': 'offer'}
        answer = await go2.answer(offer)
        await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, answer.type))
        key = (await talk.hear(lambda m: m['type'] == 'validation'))['data']
        digest = hashlib.md5(f'UnitreeGo2_{key}'.encode()).digest()
        talk.send('validation', data=base64.b64encode(digest).decode())
        faults = await talk.hear(lambda m: m['type'] == 'errors')
        yield talk, faults['data']
    finally:
        await peer.close()
