import asyncio

from go2_webrtc_driver.link.rate_limit import RateLimit
from go2_webrtc_driver.link.video import Newest


def test_a_flood_passes_at_its_rate_after_the_first_burst():
    limit = RateLimit(rate=100.0, size=50.0)
    assert sum(limit.allows(0.0) for _ in range(1000)) == 50
    assert sum(limit.allows(1.0 + tick / 1000) for tick in range(1000)) in range(145, 151)
    assert limit.refused > 1700


def test_the_newest_frame_wins_and_the_others_are_counted():
    async def main():
        frames = Newest()
        for number in range(5):
            frames.put(number)
        assert await frames.get() == 4
        assert frames.dropped == 4

    asyncio.run(main())
