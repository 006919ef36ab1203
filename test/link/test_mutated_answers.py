"""SDP answers with a change at random: the link opens, or there is one error of ours."""

import asyncio
import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import simulated_robot

from go2_webrtc_driver.errors import LinkError
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol.offer_answer import Answer
from go2_webrtc_driver.signaling.attempt import Network

JUNK = ('', '-1', '0', '1e9', 'x', 'IN IP4 name', '255.255.255.256', '99999999999999999')


class Spoiling:
    """The way to a simulated robot in this process; its answer is changed."""

    robot = 'robot X'

    def __init__(self, go2, spoil):
        self._go2, self._spoil = go2, spoil

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        pass

    async def prepare(self, progress):
        return Network('127.0.0.1')

    async def exchange(self, sdp, progress):
        answer = await self._go2.answer({'sdp': sdp, 'type': 'offer'})
        return Answer(self._spoil(answer.sdp), 'answer')


@st.composite
def spoilers(draw):
    """Functions that change one line of an SDP: it goes, comes twice, or a word is replaced."""
    where, how = draw(st.floats(0.0, 0.999)), draw(st.integers(0, 3))
    word, junk = draw(st.integers(0, 9)), draw(st.sampled_from(JUNK))

    def spoil(sdp):
        lines = sdp.split('\r\n')
        number = int(where * len(lines))
        line = lines[number]
        words = line.split(' ')
        words[word % len(words)] = junk
        name = line.partition(':')[0]
        changed = ([], [line] * 2, [' '.join(words)], [f'{name}:{junk}'])[how]
        return '\r\n'.join(lines[:number] + changed + lines[number + 1 :])

    return spoil


@settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(spoilers())
def test_a_changed_answer_is_a_link_or_one_error_of_ours(spoil):
    async def main():
        async with simulated_robot() as (go2, _):
            with contextlib.suppress(LinkError):
                async with open_link(Spoiling(go2, spoil), 0.5):
                    pass

    asyncio.run(main())
