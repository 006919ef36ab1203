import asyncio

import pytest

from go2_webrtc_driver.signaling.attempt import Progress


def test_an_attempt_that_is_cancelled_as_its_answer_comes_ends():
    """asyncio.wait_for swallowed the cancellation before Python 3.12."""

    async def main():
        answer = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(Progress('robot X').within(5.0, answer))
        await asyncio.sleep(0)
        answer.set_result('v=0')
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
