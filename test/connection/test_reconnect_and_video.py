import asyncio
import random
from itertools import islice

from go2_webrtc_driver.connection.reconnect import LONGEST_DELAY, delays, needs_operator
from go2_webrtc_driver.connection.video import Newest
from go2_webrtc_driver.errors import LinkBusy, LinkLost, LinkRefused, LinkUnreachable


def test_delays_grow_to_a_cap_and_are_jittered():
    waits = list(islice(delays(random.Random(1)), 20))
    assert waits[0] < 1.0
    assert waits[5] > 3 * waits[0]
    assert max(waits) <= LONGEST_DELAY * 1.2
    assert len(set(waits)) == 20


def test_only_busy_and_refused_need_a_person():
    assert needs_operator(LinkBusy(''))
    assert needs_operator(LinkRefused(''))
    assert not needs_operator(LinkLost(''))
    assert not needs_operator(LinkUnreachable(''))


def test_the_newest_frame_wins_and_the_others_are_counted():
    async def main():
        frames = Newest()
        for number in range(5):
            frames.put(number)
        assert await frames.get() == 4
        assert frames.dropped == 4

    asyncio.run(main())
