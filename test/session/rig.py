"""A session over scripted links, which record what they are told."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from support import until

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.link.video import Newest
from go2_webrtc_driver.protocol.decoders import Sample
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.topics import MessageType, Topic
from go2_webrtc_driver.session.lasting import CAMERA
from go2_webrtc_driver.session.session import RobotSession, never

A = Topic.SPORT_MODE_STATE.value  # any topic that says how the robot moves
CONFIG = replace(
    DriverConfig(), silence_timeout=0.5, command_rate=50.0, command_timeout=0.05,
    wait_for_robot=False, max_linear_acceleration=50.0,
)  # fmt: skip


def packet(number, topic=A):
    return Sample(topic, number)


class ScriptedLink:
    """Plays a script of samples and messages, and records what it is told."""

    robot = 'robot X'

    def __init__(self, script):
        self.script = script
        self.told = []
        self.asked = []
        self.answers = {}
        self.motion = None
        self.more = asyncio.Queue()
        self.frames = Newest()

    async def received(self):
        for item in self.script:
            while not self.more.empty():
                yield self._said(self.more.get_nowait())
            yield self._said(item)
        while True:
            yield self._said(await self.more.get())

    def _said(self, item):
        if isinstance(item, Exception) and not isinstance(item, DecodeError):
            raise item
        return item

    def subscribe(self, topic):
        self.told.append(('subscribe', topic))

    def unsubscribe(self, topic):
        self.told.append(('unsubscribe', topic))

    def switch_video(self, on):
        self.told.append(('video', on))

    def switch_traffic_saving(self, on):
        self.told.append(('traffic saving', on))

    def send(self, command):
        self.told.append(command)

    async def enable_motion(self):
        if isinstance(self.motion, Exception):
            raise self.motion

    async def request(self, request, timeout):
        self.asked.append(request)
        answer = self.answers.get(request.api_id, {})
        if isinstance(answer, Exception):
            raise answer
        return Message(MessageType.RESPONSE, request.topic, answer)

    def move(self, velocity):
        self.told.append(velocity)

    def stop(self):
        self.told.append('stop')

    def stop_again(self):
        self.told.append('stop again')

    def renew_video(self):
        self.told.append('renew video')

    async def stop_and_confirm(self):
        self.told.append('stop and confirm')


class Rig:
    """A session over scripted links, and its owner: records what it is told."""

    def __init__(self, *scripts, config=CONFIG, wait_for_return=never, on_sample=None):
        self.links = [s if isinstance(s, Exception) else ScriptedLink(s) for s in scripts]
        self.queue = list(self.links)
        self.samples = []
        self.crashes = []
        self.responses = []
        self.statuses = []
        self.lost = []
        self.opened = 0
        self.news = []
        self._pass_on = on_sample or (lambda sample: None)
        self.session = RobotSession(
            config, self, self.open_link, wait_for_return, sources=(A, CAMERA)
        )

    def say(self, item):
        """Let the robot say something more, over its first link."""
        self.links[0].more.put_nowait(item)

    @property
    def status(self):
        return self.session.status

    @property
    def connected(self):
        return self.status.connected

    @asynccontextmanager
    async def open_link(self, is_news):
        self.news.append(is_news)
        link = self.queue.pop(0) if self.queue else ScriptedLink([])
        if isinstance(link, Exception):
            raise link
        yield link

    def on_open(self):
        self.opened += 1

    def on_sample(self, sample):
        self._pass_on(sample)
        self.samples.append((sample.source, sample.value))

    def on_response(self, message):
        self.responses.append(message)

    def on_status(self, status):
        self.statuses.append(status)

    def on_lost(self, reason):
        self.lost.append(reason)

    def on_crash(self, error):
        self.crashes.append(error)

    async def wait_for(self, condition):
        await until(condition)
