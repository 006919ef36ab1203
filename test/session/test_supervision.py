"""What the session does when something is wrong: with the link, the camera, its owner, itself."""

import asyncio
import itertools
import logging
import time
from dataclasses import replace

import pytest
from rig import CONFIG, A, Rig, packet
from support import warned

from go2_webrtc_driver.errors import (
    InvalidCommand,
    LinkBusy,
    LinkLost,
    LinkRefused,
    LinkUnreachable,
)
from go2_webrtc_driver.protocol.actions import ASK_MODE, BY_NAME
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.state import Imu, SportModeState
from go2_webrtc_driver.protocol.topics import MessageType
from go2_webrtc_driver.session import driving, gate, liveness, reconnect
from go2_webrtc_driver.velocity import STOP, Velocity

pytestmark = pytest.mark.usefixtures('no_waiting')

FAST, GOOD = Velocity(0.4), packet(2)


def run(scenario, *scripts, config=CONFIG, **options):
    """Run a scenario on a session whose links play the scripts."""

    async def main():
        rig = Rig(*scripts, config=config, **options)
        await rig.session.start()
        try:
            await scenario(rig)
        finally:
            await rig.session.stop()

    asyncio.run(main())


def endless(*first, then=GOOD):
    """A script of packets that goes on: the robot does not fall silent."""

    class Endless(list):
        def __iter__(self):
            yield from first
            while True:
                yield then() if callable(then) else then

    return Endless()


class Talking(Rig):
    """A rig whose links send a packet every few milliseconds."""

    def __init__(self, *scripts, **options):
        super().__init__(*scripts, **options)
        for link in self.links:
            self.slow_down(link)

    @staticmethod
    def slow_down(link):
        received = link.received

        async def slow():
            async for item in received():
                yield item
                await asyncio.sleep(0.005)

        link.received = slow


def run_talking(scenario, *first, config=CONFIG, then=GOOD, links=1):
    async def main():
        scripts = [endless(*(first or (packet(1),)), then=then) for _ in range(links)]
        rig = Talking(*scripts, config=config)
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        try:
            await scenario(rig, rig.links[0])
        finally:
            await rig.session.stop()

    asyncio.run(main())


def test_a_robot_that_replies_to_heartbeats_but_sends_no_data_is_lost():
    heartbeat = Message(MessageType.HEARTBEAT)

    async def main():
        rig = Talking(endless(packet(1), then=heartbeat), endless(packet(2)))
        await rig.session.start()
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        await rig.session.stop()

    asyncio.run(main())


def test_a_robot_that_sends_data_but_replies_to_no_heartbeat_any_more_is_lost(monkeypatch):
    monkeypatch.setattr('go2_webrtc_driver.session.liveness.HEARTBEAT_PERIOD', 0.1)
    heartbeat = Message(MessageType.HEARTBEAT)

    async def scenario(rig, link):
        await rig.wait_for(lambda: rig.status.links == 2)

    run_talking(scenario, packet(1), heartbeat, links=2)


def test_pictures_that_stop_are_asked_for_again_while_the_robot_is_driven_on():
    async def scenario(rig, link):
        link.frames.put('picture')
        link.told.clear()
        await rig.wait_for(lambda: 'renew video' in link.told)
        assert rig.status.links == 1
        await rig.wait_for(lambda: rig.status.links == 2)

    config = replace(CONFIG, video_timeout=0.5)
    run_talking(scenario, config=config, links=2)


@pytest.mark.parametrize('policy', ['deactivate', 'shutdown'])
def test_a_lost_link_is_not_opened_again_if_the_operator_says_so(policy):
    async def main():
        config = replace(CONFIG, on_link_lost=policy)
        rig = Rig([packet(1), LinkLost('gone')], [packet(2)], config=config)
        await rig.session.start()
        await rig.wait_for(lambda: rig.lost)
        assert rig.lost == ['gone']
        assert rig.links[0].told[-1] == 'stop and confirm'
        await rig.session.stop()
        assert (A, 2) not in rig.samples

    asyncio.run(main())


def test_a_robot_that_cannot_be_reached_at_first_is_no_lost_link():
    async def scenario(rig):
        await rig.wait_for(lambda: rig.samples == [(A, 1)])

    config = replace(CONFIG, on_link_lost='shutdown')
    run(scenario, LinkUnreachable('down'), [packet(1)], config=config)


@pytest.mark.parametrize('error', [LinkBusy('close the app'), LinkRefused('give it its key')])
def test_what_a_person_must_do_is_said_once_as_an_error(error, caplog):
    caplog.set_level(logging.DEBUG)

    async def scenario(rig):
        await rig.wait_for(lambda: rig.samples)

    run(scenario, *[error] * 5, [packet(1)])
    said = [record.levelname for record in caplog.records if str(error) in record.getMessage()]
    assert said == ['ERROR'] + ['DEBUG'] * 4


def test_an_outage_is_told_at_its_begin_and_at_its_end(caplog):
    caplog.set_level(logging.INFO)

    async def scenario(rig):
        await rig.wait_for(lambda: len(rig.samples) == 2)
        assert rig.news == [True, False, False, False]

    down = LinkUnreachable('down')
    run(scenario, [packet(1), LinkLost('gone')], down, down, [packet(2)])
    assert warned(caplog, 'gone') == 1
    assert warned(caplog, 'down') == 1
    assert caplog.text.count('connected: the robot sends data') == 2


def test_a_robot_that_is_seen_to_come_back_is_not_made_to_wait(monkeypatch):
    monkeypatch.setattr(reconnect, 'delays', lambda rng: iter([0.0, 1e6]))
    back = asyncio.Event()

    async def main():
        down = LinkUnreachable('down')
        script = [packet(1), LinkLost('gone')]
        rig = Rig(script, down, [packet(2)], wait_for_return=back.wait)
        await rig.session.start()
        await rig.wait_for(lambda: rig.status.reason == 'down')
        back.set()
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        await rig.session.stop()

    asyncio.run(main())


def test_a_new_link_begins_with_a_stop_and_takes_no_velocity_for_a_moment(monkeypatch):
    monkeypatch.setattr(driving, 'HOLD_TIME', 0.1)

    async def scenario(rig, link):
        assert link.told[0] == 'stop'
        rig.session.command(FAST)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert FAST not in link.told
        await rig.wait_for(lambda: (rig.session.command(FAST), FAST in link.told)[1])

    run_talking(scenario)


def test_a_zero_twist_goes_to_a_robot_that_is_limp():
    async def scenario(rig, link):
        await rig.session.act(BY_NAME['damp'])
        rig.session.command(FAST)
        rig.session.command(STOP)
        await rig.wait_for(lambda: STOP in link.told)
        assert FAST not in link.told

    run_talking(scenario)


STAMPS = itertools.count(1.0)  # of the robot's clock


def walking(speed):
    imu = Imu((0.0, 0.0, 0.0, 1.0), (0.0,) * 3, (0.0,) * 3, (0.0,) * 3, 0.0)
    state = SportModeState(next(STAMPS), 100, 0, 0, 0.32, (0.0,) * 3, (speed, 0.0, 0.0), 0.0, imu)
    return packet(state)


def test_a_stop_is_repeated_until_the_robot_reports_that_it_stands(monkeypatch):
    monkeypatch.setattr('go2_webrtc_driver.session.gate.REPEAT_PERIOD', 0.01)
    monkeypatch.setattr('go2_webrtc_driver.session.gate.ON_ITS_WAY', 0.0)

    async def scenario(rig, link):
        rig.session.command(FAST)
        await rig.wait_for(lambda: link.told.count('stop again') > 2)
        first = link.told.index('stop', 1)
        assert FAST not in link.told[first:]
        standing = walking(0.0)
        rig.say(standing)
        await rig.wait_for(lambda: (A, standing.value) in rig.samples)
        told = len(link.told)
        await asyncio.sleep(0.05)
        assert link.told[told:] == []

    run_talking(scenario)


def test_a_robot_that_does_not_stop_is_warned_of_once(monkeypatch, caplog):
    monkeypatch.setattr('go2_webrtc_driver.session.gate.REPEAT_TIME', 0.1)
    monkeypatch.setattr('go2_webrtc_driver.session.gate.ON_ITS_WAY', 0.0)

    async def scenario(rig, link):
        rig.session.command(FAST)
        await rig.wait_for(lambda: 'the robot still reports motion' in caplog.text)
        sent = link.told.count('stop again')
        await asyncio.sleep(0.1)
        assert link.told.count('stop again') == sent
        assert warned(caplog, 'the robot still reports motion') == 1

    run_talking(scenario, walking(0.4), then=lambda: walking(0.4))


@pytest.mark.parametrize('name', ['hello', 'damp'])
def test_what_the_robot_is_asked_to_do_is_not_broken_off_by_repeating_an_older_stop(name):
    """Nor is a robot that falls, and moves while it does, told anything more."""

    async def scenario(rig, link):
        await rig.session.act(BY_NAME['stop'])
        await rig.session.act(BY_NAME[name])
        told = link.told.count('stop again')
        await asyncio.sleep(4 * gate.REPEAT_PERIOD)
        assert link.told.count('stop again') == told

    run_talking(scenario, walking(0.4), then=lambda: walking(0.4))


def test_an_action_that_is_refused_before_it_is_sent_does_not_end_the_repetition_of_a_stop():
    async def scenario(rig, link):
        await rig.session.act(BY_NAME['stop'])
        link.answers[ASK_MODE.api_id] = {'data': '{"form": "0", "name": "mcf"}'}
        with pytest.raises(InvalidCommand, match='does not have it'):
            await rig.session.act(BY_NAME['wallow'])
        told = link.told.count('stop again')
        await rig.wait_for(lambda: link.told.count('stop again') > told)

    run_talking(scenario, walking(0.4), then=lambda: walking(0.4))


def test_after_a_standstill_of_the_driver_the_robot_is_stopped_and_old_commands_are_dropped(
    monkeypatch,
):
    monkeypatch.setattr(driving, 'LONGEST_STANDSTILL', 0.1)
    config = replace(CONFIG, command_timeout=2.0, silence_timeout=9.0)

    async def scenario(rig, link):
        rig.session.command(FAST)
        await rig.wait_for(lambda: FAST in link.told)
        told = len(link.told)
        time.sleep(0.3)  # noqa: ASYNC251 - the whole process stands still
        await rig.wait_for(lambda: 'stop' in link.told[told:])
        told = len(link.told)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert FAST not in link.told[told:]

    run_talking(scenario, config=config)


def test_an_owner_that_falls_silent_has_the_robot_stopped_until_it_lives_again(
    monkeypatch, caplog
):
    monkeypatch.setattr(liveness, 'OWNER_TIMEOUT', 0.2)
    config = replace(CONFIG, command_timeout=2.0)

    async def scenario(rig, link):
        rig.session.note_owner()
        rig.session.command(FAST)
        await rig.wait_for(lambda: FAST in link.told)
        told = len(link.told)
        await rig.wait_for(lambda: rig.status.owner_is_stuck)
        assert 'stop' in link.told[told:]
        assert 'ROS callbacks have not run' in caplog.text
        rig.session.command(FAST)  # it has waited for the owner
        told = len(link.told)
        rig.session.note_owner()
        await rig.wait_for(lambda: not rig.status.owner_is_stuck)
        assert link.told[told] == 'stop'
        assert FAST not in link.told[told:]

    run_talking(scenario, config=config)


def test_a_bug_stops_the_robot_before_anything_is_waited_for():
    waits = []

    async def scenario():
        rig = Rig([packet(1)], on_sample=lambda sample: 1 / 0)
        link = rig.links[0]

        async def slow_request(request, timeout):
            try:
                await asyncio.sleep(9.0)
            finally:
                waits.append(list(link.told))

        link.request = slow_request
        await rig.session.start()
        await rig.wait_for(lambda: rig.crashes)
        await rig.session.stop()

    asyncio.run(scenario())
    assert waits[0].count('stop') == 2  # of the link's begin, and of the bug


def test_commands_while_the_robot_is_away_are_refused_with_one_warning(caplog):
    async def scenario(rig):
        for _ in range(5):
            rig.session.command(FAST)
            rig.session.command(STOP)
        assert warned(caplog, 'velocities are dropped: the robot is not connected') == 1

    run(scenario, [])


def test_the_time_since_the_loss_is_known():
    async def scenario(rig):
        await rig.wait_for(lambda: rig.status.links == 1 and not rig.connected)
        assert 0.0 < rig.status.away_for < 60.0

    run(scenario, [packet(1), LinkLost('gone')], [])


def test_a_robot_that_sends_no_data_is_not_driven_blind(caplog):
    config = replace(CONFIG, command_timeout=2.0, silence_timeout=9.0, blind_timeout=0.1)

    async def main():
        rig = Rig([packet(1)], config=config)
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        link = rig.links[0]
        rig.session.command(FAST)
        await rig.wait_for(lambda: FAST in link.told)
        told = len(link.told)
        await rig.wait_for(lambda: 'stop' in link.told[told:])
        assert 'no motion state from the robot for 0.1 s: stopping it' in caplog.text
        told = len(link.told)
        rig.session.command(FAST)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert FAST not in link.told[told:]
        assert 'velocities are dropped: no motion state from the robot' in caplog.text
        rig.say(packet(3))
        await rig.wait_for(lambda: (rig.session.command(FAST), FAST in link.told[told:])[1])
        await rig.session.stop()

    asyncio.run(main())
