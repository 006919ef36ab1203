import asyncio
import json

import pytest

from go2_webrtc_driver.errors import CommandRejected, DecodeError, LinkLost
from go2_webrtc_driver.link.requests import Requests
from go2_webrtc_driver.protocol.commands import Request
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.topics import MessageType, SportApi, Topic

HELLO = Request(Topic.SPORT_REQUEST, SportApi.HELLO)


def response(text, code):
    """Return the robot's response to the request in ``text``."""
    identity = json.loads(text)['data']['header']['identity']
    data = {'header': {'identity': identity, 'status': {'code': code}}}
    return Message(MessageType.RESPONSE, 'rt/api/sport/response', data)


def ask(code=0, limit=5.0, answer=True):
    """Return what comes of a request that the robot answers with a status code."""

    async def main():
        sent = []
        requests = Requests('robot X', sent.append)
        asking = asyncio.ensure_future(requests.ask(HELLO, limit))
        await asyncio.sleep(0)
        if answer:
            requests.resolve(response(sent[0], code))
            requests.resolve(response(sent[0], 9))  # nobody waits for it any more
        return await asking

    return asyncio.run(main())


def test_a_request_returns_the_response_with_its_identity():
    assert ask().data['header']['status']['code'] == 0


def test_a_status_other_than_0_is_a_rejection():
    with pytest.raises(CommandRejected, match='answered 3203'):
        ask(3203)


@pytest.mark.parametrize('code', ['0', None, [], 1.5, True])
def test_a_response_whose_status_is_no_whole_number_is_a_decode_error(code):
    with pytest.raises(DecodeError, match='status code'):
        ask(code)


def test_a_response_that_does_not_come_is_told_with_the_request_and_the_time():
    with pytest.raises(LinkLost, match='robot X: expected a response to request 1016 within'):
        ask(limit=0.01, answer=False)


def test_each_request_has_an_identity_of_its_own():
    async def main():
        sent = []
        requests = Requests('robot X', sent.append)
        asking = [asyncio.ensure_future(requests.ask(HELLO, 5.0)) for _ in range(20)]
        await asyncio.sleep(0)
        requests.close()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, LinkLost) for each in results)
        return {json.loads(each)['data']['header']['identity']['id'] for each in sent}

    assert len(asyncio.run(main())) == 20


def test_a_cancelled_request_stays_cancelled_though_its_answer_comes_in_the_same_turn():
    """asyncio.wait_for swallowed it before Python 3.12, and the link hung for ever."""

    async def main():
        sent = []
        requests = Requests('robot X', sent.append)
        asking = asyncio.ensure_future(requests.ask(HELLO, 5.0))
        await asyncio.sleep(0)
        requests.resolve(response(sent[0], 0))
        asking.cancel()
        await asyncio.wait({asking})
        return asking.cancelled()

    assert asyncio.run(main())
