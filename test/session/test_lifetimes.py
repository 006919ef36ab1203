"""What begins and ends with a session, a visit and their tasks; who sees what fails in them."""

import asyncio
import gc
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rig import CONFIG, A, Rig, packet

from go2_webrtc_driver.errors import (
    CommandRejected,
    DecodeError,
    InvalidCommand,
    LinkLost,
    LinkUnreachable,
)
from go2_webrtc_driver.protocol import commands
from go2_webrtc_driver.protocol.actions import ASK_MODE, BY_NAME
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.topics import McfApi, MessageType, VuiApi
from go2_webrtc_driver.session import driving, reconnect
from go2_webrtc_driver.tasks import Tasks
from go2_webrtc_driver.velocity import Velocity

pytestmark = pytest.mark.usefixtures('no_waiting')
FAST = Velocity(0.4)


def test_the_first_task_to_fail_is_seen_at_once():
    async def main():
        tasks = Tasks()
        tasks.start(asyncio.Event().wait())

        async def fail():
            raise KeyError('first')

        tasks.start(fail())
        with pytest.raises(KeyError, match='first'):
            await asyncio.wait_for(tasks.failed, 5.0)
        await tasks.close(1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_task_that_does_not_end_is_named_and_not_waited_for(caplog):
    async def main():
        tasks, let_go = Tasks(), asyncio.Event()

        async def stubborn():
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue

        task = tasks.start(stubborn())
        await asyncio.sleep(0)
        await tasks.close(0.01)
        assert 'stubborn' in caplog.text
        let_go.set()
        await task

    asyncio.run(main())


def test_a_second_close_waits_and_breaks_off_nothing_that_cleans_up():
    async def main():
        tasks, cleaned = Tasks(), []

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.02)
                cleaned.append('up')

        tasks.start(work())
        await asyncio.sleep(0)
        await asyncio.gather(tasks.close(1.0), tasks.close(1.0))
        assert cleaned == ['up']

    asyncio.run(main())


def test_a_session_that_is_stopped_twice_at_once_leaves_the_robot_stopped_and_confirmed():
    async def main():
        rig = Rig([packet(1)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        await asyncio.gather(rig.session.stop(), rig.session.stop())
        assert rig.links[0].told[-1] == 'stop and confirm'

    asyncio.run(main())


def test_a_failure_that_nobody_waits_for_is_no_error_in_the_background():
    async def main():
        errors = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, error: errors.append(error))
        tasks = Tasks()

        async def fail():
            raise KeyError

        await asyncio.wait({tasks.start(fail())})
        del tasks
        gc.collect()
        await asyncio.sleep(0)
        assert not errors

    asyncio.run(main())


def test_a_session_that_was_stopped_before_its_start_does_not_start():
    async def main():
        rig = Rig([packet(1)])
        await rig.session.stop()
        with pytest.raises(LinkLost, match='stopped'):
            await rig.session.start()
        assert rig.news == []  # no link was opened

    asyncio.run(main())


def test_motion_that_the_robot_does_not_enable_at_first_is_tried_again(caplog):
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        link.motion = CommandRejected(1027, 3203)
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected and 'tried again' in caplog.text)
        assert 'expected status 0, the robot answered 3203' in rig.status.motion_trouble
        link.motion = None
        await rig.wait_for(lambda: rig.status.motion_trouble == '')
        await rig.wait_for(lambda: (rig.session.command(FAST), FAST in link.told)[1])
        await rig.session.stop()

    asyncio.run(main())


def test_a_mode_that_is_known_is_kept_when_the_robot_does_not_tell_it_once_more():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        link.answers[ASK_MODE.api_id] = {'data': '{"form": "0", "name": "mcf"}'}
        await rig.session.start()
        await rig.wait_for(lambda: rig.status.mode == 'mcf')
        link.answers[ASK_MODE.api_id] = LinkLost('no answer')
        await rig.session.act(BY_NAME['left_flip'])
        assert link.asked[-1].api_id == McfApi.LEFT_FLIP
        assert rig.status.mode == 'mcf'
        await rig.session.stop()

    asyncio.run(main())


def test_the_mode_is_asked_for_before_an_action_whose_number_depends_on_it():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.status.mode)
        asked = len(link.asked)
        await rig.session.act(BY_NAME['left_flip'])
        await rig.session.act(BY_NAME['hello'])
        numbers = [each.api_id for each in link.asked[asked:]]
        assert numbers[0] == ASK_MODE.api_id
        assert numbers.count(ASK_MODE.api_id) == 1
        await rig.session.stop()

    asyncio.run(main())


def test_a_visit_ends_though_the_robots_answer_comes_as_it_is_cancelled():
    """asyncio.wait_for swallowed the cancellation before Python 3.12: no reconnect, ever."""

    async def main():
        rig = Rig([packet(1)], [packet(2)])
        link, asked = rig.links[0], asyncio.Event()
        answer = asyncio.get_running_loop().create_future()

        async def request(request, timeout):
            asked.set()
            return await answer

        link.request = request
        await rig.session.start()
        await asked.wait()
        answer.set_result(Message(MessageType.RESPONSE, '', {}))
        rig.say(LinkLost('gone'))
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        await rig.session.stop()

    asyncio.run(main())


def test_faults_of_one_link_are_not_those_of_the_next():
    async def main():
        fault = Message(MessageType.FAULT_ADDED, '', [2, 600, 8])
        rig = Rig([packet(1), fault, LinkLost('gone')], [packet(2)])
        await rig.session.start()
        await rig.wait_for(lambda: any(each.faults for each in rig.statuses))
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        assert rig.status.faults == frozenset()
        await rig.session.stop()

    asyncio.run(main())


def test_garbage_and_responses_are_no_data():
    async def main():
        rig = Rig([DecodeError('', 'torn'), Message(MessageType.RESPONSE, 'rt/x/response', {})])
        await rig.session.start()
        await rig.wait_for(lambda: rig.responses)
        assert not rig.connected
        await rig.session.stop()

    asyncio.run(main())


def test_the_reason_of_a_failed_first_attempt_names_the_robot_and_what_it_waited_for():
    async def main():
        config = replace(CONFIG, wait_for_robot=True, silence_timeout=60.0, connect_timeout=1.0)
        rig = Rig([], config=config)
        with pytest.raises(LinkUnreachable, match=r'robot X: expected its first data within \d'):
            await rig.session.start()

    asyncio.run(main())


def test_a_status_is_told_once_a_second_and_has_rates(monkeypatch):
    monkeypatch.setattr('go2_webrtc_driver.session.session.STATUS_PERIOD', 0.2)

    async def main():
        rig = Rig([packet(number) for number in range(9)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        told = len(rig.statuses)
        await rig.wait_for(lambda: len(rig.statuses) > told + 2)
        stream = rig.status.streams[A]
        assert stream.count == 9
        assert stream.rate == 0.0  # nothing came in the last period
        assert any(each.streams[A].rate > 0.0 for each in rig.statuses if each.streams)
        await rig.session.stop()

    asyncio.run(main())


def test_an_outage_that_goes_on_is_told_once_and_one_after_a_link_anew(monkeypatch):
    waits = []
    monkeypatch.setattr(
        reconnect.Outage, 'delay', lambda self, error, now: waits.append(self) or 0.0
    )

    async def main():
        down = LinkUnreachable('down')
        rig = Rig(down, down, [packet(1), LinkLost('gone')], down, [packet(2)])
        await rig.session.start()
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        await rig.session.stop()
        first, second, third, fourth = waits
        assert first is second
        assert third is not second
        assert fourth is third

    asyncio.run(main())


def test_an_owner_that_crashes_the_session_has_the_robot_stopped_for_good():
    async def main():
        rig = Rig([packet(1)], config=replace(CONFIG, command_timeout=2.0))
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        rig.session.command(FAST)
        await rig.wait_for(lambda: FAST in link.told)
        told = len(link.told)
        rig.on_status = lambda status: 1 / 0
        await rig.wait_for(lambda: rig.crashes)
        assert 'stop' in link.told[told:]
        told = len(link.told)
        rig.session.command(FAST)
        assert FAST not in link.told[told:]
        await rig.session.stop()

    asyncio.run(main())


def test_what_cannot_be_decoded_is_told_as_the_reason_and_not_as_silence():
    async def main():
        config = replace(CONFIG, wait_for_robot=True, silence_timeout=0.5)
        rig = Rig([DecodeError(A, 'velocity: expected 3 finite numbers')], config=config)
        with pytest.raises(LinkLost, match=r'what came cannot be decoded: .*velocity: expected 3'):
            await rig.session.start()

    asyncio.run(main())


def test_a_sample_with_a_part_missing_goes_on_and_is_told_of():
    async def main():
        sample = SimpleNamespace(gaps=('rt/x: imu_state: expected an object',))
        rig = Rig([packet(sample)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.samples)
        assert rig.status.unreadable == ('rt/x: imu_state: expected an object',)
        await rig.session.stop()

    asyncio.run(main())


def test_a_refused_stand_up_does_not_end_the_latch_of_damp():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        await rig.session.act(BY_NAME['damp'])
        link.answers[BY_NAME['stand_up'].mcf] = CommandRejected(1004, 3203)
        with pytest.raises(CommandRejected):
            await rig.session.act(BY_NAME['stand_up'])
        assert rig.status.damped
        await rig.session.stop()

    asyncio.run(main())


@pytest.mark.parametrize('name', ['stop', 'damp'])
def test_a_raw_request_with_the_number_of_an_action_acts_like_it(name):
    async def main():
        rig = Rig([packet(1)], config=replace(CONFIG, command_timeout=2.0))
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        rig.session.command(FAST)
        await rig.wait_for(lambda: FAST in link.told)
        told = len(link.told)
        await rig.session.request(BY_NAME[name].request('mcf'), 1.0)
        assert link.told[told] == 'stop'
        assert rig.status.damped == (name == 'damp')
        told = len(link.told)
        for _ in range(20):
            rig.session.command(FAST)
            await asyncio.sleep(driving.SHORTEST_PAUSE / 10)
        assert (FAST in link.told[told:]) == (name == 'stop')
        await rig.session.stop()

    asyncio.run(main())


def test_each_press_on_stop_is_sent_at_once_though_the_robot_answers_none():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]

        async def never(request, timeout):
            await asyncio.Event().wait()

        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        link.request = never
        told = link.told.count('stop')
        presses = [asyncio.ensure_future(rig.session.act(BY_NAME['stop'])) for _ in range(5)]
        await asyncio.sleep(0)
        assert link.told.count('stop') == told + 5
        for each in presses:
            each.cancel()
        await rig.session.stop()

    asyncio.run(main())


def test_the_time_away_goes_on_over_failed_attempts():
    async def main():
        down = [LinkUnreachable('down')] * 3
        rig = Rig([packet(1), LinkLost('gone')], *down, [])
        await rig.session.start()
        await rig.wait_for(lambda: len(rig.news) == 5)
        away = [each for each in rig.statuses if each.reason in ('gone', 'down')]
        since = {round(each.at - each.away_for, 6) for each in away}
        assert {each.reason for each in away} == {'gone', 'down'}
        assert len(since) == 1
        await rig.session.stop()

    asyncio.run(main())


def test_a_flood_of_settings_sends_the_newest_of_each_and_no_other():
    async def main():
        rig = Rig([packet(1)], config=replace(CONFIG, volume=0))
        link, answer = rig.links[0], asyncio.Event()
        ask = link.request

        async def slow(request, timeout):
            await answer.wait()
            return await ask(request, timeout)

        await rig.session.start()
        await rig.wait_for(lambda: rig.status.mode)
        link.request = slow
        for number in range(1200):
            rig.session.reconfigure(replace(CONFIG, volume=1 + number % 10))
            await asyncio.sleep(0)
        answer.set()
        await rig.wait_for(lambda: commands.set_volume(10) in link.asked)
        assert len([each for each in link.asked if each.api_id == VuiApi.SET_VOLUME]) <= 3
        await rig.session.stop()

    asyncio.run(main())


def held(link, request_of):
    """Let the link answer one request only when it is told to."""
    asked, goes_on = asyncio.Event(), asyncio.Event()
    answer = link.request

    async def request(request, timeout):
        if request.api_id == request_of:
            asked.set()
            await goes_on.wait()
        return await answer(request, timeout)

    link.request = request
    return asked, goes_on


def test_an_action_that_waits_for_its_number_is_not_begun_after_a_stop():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        asked, goes_on = held(link, ASK_MODE.api_id)
        flip = asyncio.ensure_future(rig.session.act(BY_NAME['left_flip']))
        await asked.wait()
        await rig.session.act(BY_NAME['stop'])
        goes_on.set()
        with pytest.raises(InvalidCommand, match='told to stop meanwhile'):
            await flip
        numbers = {BY_NAME['left_flip'].normal, BY_NAME['left_flip'].mcf}
        assert not numbers & {request.api_id for request in link.asked}
        await rig.session.stop()

    asyncio.run(main())


def test_an_answer_to_an_older_stand_up_does_not_end_the_latch_of_a_newer_damp():
    async def main():
        rig = Rig([packet(1)])
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        asked, goes_on = held(link, BY_NAME['stand_up'].mcf)
        standing_up = asyncio.ensure_future(rig.session.act(BY_NAME['stand_up']))
        await asked.wait()
        await rig.session.act(BY_NAME['damp'])
        goes_on.set()
        await standing_up
        assert rig.status.damped
        await rig.session.stop()

    asyncio.run(main())


@pytest.mark.parametrize('name', ['stop', 'damp'])
def test_what_halts_the_robot_is_sent_on_a_link_where_it_was_not_heard_yet(name):
    async def main():
        rig = Rig([])
        link = rig.links[0]
        await rig.session.start()
        await rig.wait_for(lambda: link.told)
        assert not rig.connected
        await rig.session.act(BY_NAME[name])
        assert link.asked[-1] == BY_NAME[name].request('')
        await rig.session.stop()

    asyncio.run(main())
