"""What the session does with what it is asked for: sources, actions, settings, faults."""

import asyncio
from dataclasses import replace

import pytest
from rig import CONFIG, A, Rig, packet
from support import warned

from go2_webrtc_driver.errors import CommandRejected, InvalidCommand, LinkLost
from go2_webrtc_driver.protocol import commands
from go2_webrtc_driver.protocol.actions import ASK_MODE, BY_NAME
from go2_webrtc_driver.protocol.faults import RobotFault
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.state import Imu, SportModeState
from go2_webrtc_driver.protocol.topics import McfApi, MessageType, NormalApi, Topic
from go2_webrtc_driver.session.lasting import CAMERA
from go2_webrtc_driver.velocity import STOP, Velocity

pytestmark = pytest.mark.usefixtures('no_waiting')

MAP = Topic.VOXEL_MAP.value
IMU = Imu((0.0, 0.0, 0.0, 1.0), (0.0,) * 3, (0.0,) * 3, (0.0,) * 3, 0.0)


def standing(height):
    return SportModeState(0.0, 100, 0, 0, height, (0.0,) * 3, (0.0,) * 3, 0.0, IMU)


def run(scenario, *script, config=CONFIG, prepare=lambda link: None):
    """Run a scenario on a session with one open link."""

    async def main():
        rig = Rig([packet(1), *script], config=config)
        prepare(rig.links[0])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected and rig.status.mode)
        try:
            await scenario(rig, rig.links[0])
        finally:
            await rig.session.stop()

    asyncio.run(main())


def mode(name):
    def prepare(link):
        link.answers[ASK_MODE.api_id] = {'data': f'{{"form": "0", "name": "{name}"}}'}

    return prepare


def test_what_is_wanted_later_is_asked_for_and_what_is_not_any_more_is_not():
    async def scenario(rig, link):
        link.told.clear()
        rig.session.want({A, MAP})
        assert set(map(str, link.told)) == set(
            map(str, [('video', False), ('traffic saving', False), ('subscribe', MAP),
                      commands.switch_lidar(True)])
        )  # fmt: skip
        link.told.clear()
        rig.session.want({A, CAMERA})
        assert ('video', True) in link.told
        assert ('traffic saving', True) in link.told
        assert ('unsubscribe', MAP) in link.told
        assert commands.switch_lidar(False) not in link.told  # obstacle avoidance needs it

    run(scenario)


def test_what_is_wanted_is_asked_for_on_the_next_link_too():
    async def main():
        rig = Rig([packet(1), LinkLost('gone')], [packet(2)])
        rig.session.want({A, 'b'})
        await rig.session.start()
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        assert ('subscribe', 'b') in rig.links[1].told
        await rig.session.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ('name', 'number'), [('mcf', McfApi.BACK_FLIP), ('normal', NormalApi.BACK_FLIP)]
)
def test_an_action_has_the_number_of_the_mode_the_robot_is_in(name, number):
    async def scenario(rig, link):
        await rig.session.act(BY_NAME['back_flip'])
        assert link.asked[-1].api_id == number

    run(scenario, prepare=mode(name))


def test_a_robot_that_does_not_tell_its_mode_is_taken_as_normal():
    def prepare(link):
        link.answers[ASK_MODE.api_id] = LinkLost('no answer')

    async def scenario(rig, link):
        assert rig.status.mode == 'normal'

    run(scenario, prepare=prepare)


def test_an_action_that_the_mode_does_not_have_is_refused():
    async def scenario(rig, link):
        with pytest.raises(InvalidCommand, match="wallow: a robot in the mode 'mcf'"):
            await rig.session.act(BY_NAME['wallow'])

    run(scenario, prepare=mode('mcf'))


def test_an_action_while_the_robot_is_away_is_refused_with_the_reason():
    async def main():
        rig = Rig()
        with pytest.raises(LinkLost, match='not connected: connecting'):
            await rig.session.act(BY_NAME['hello'])

    asyncio.run(main())


def test_stop_ends_the_stream_of_velocities_first():
    async def scenario(rig, link):
        rig.session.command(Velocity(0.4))
        await rig.wait_for(lambda: Velocity(0.4) in link.told)
        await rig.session.act(BY_NAME['stop'])
        assert [each for each in link.told if each != 'stop again'][-1] == 'stop'
        sent = len(link.told)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert set(link.told[sent:]) <= {'stop again'}

    run(scenario, config=replace(CONFIG, command_timeout=2.0))


def test_damp_latches_until_the_robot_is_told_to_stand_up():
    async def scenario(rig, link):
        await rig.session.act(BY_NAME['damp'])
        rig.session.command(Velocity(0.4))
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert Velocity(0.4) not in link.told
        await rig.session.act(BY_NAME['recovery_stand'])
        rig.session.command(Velocity(0.4))
        await rig.wait_for(lambda: Velocity(0.4) in link.told)

    run(scenario)


def test_damp_latches_even_if_the_robot_does_not_answer():
    async def scenario(rig, link):
        link.answers[BY_NAME['damp'].mcf] = LinkLost('no answer')
        with pytest.raises(LinkLost):
            await rig.session.act(BY_NAME['damp'])
        assert rig.status.damped

    run(scenario)


def test_a_robot_that_does_not_take_velocities_is_sent_none(caplog):
    def prepare(link):
        link.motion = CommandRejected(1004, 3203)

    async def scenario(rig, link):
        rig.session.command(Velocity(0.4))
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert Velocity(0.4) not in link.told
        assert 'velocities are dropped: the robot does not take them' in caplog.text
        assert 'expected status 0, the robot answered 3203' in rig.status.motion_trouble

    run(scenario, prepare=prepare)


LYING = packet(standing(0.08))


def test_a_velocity_for_a_robot_that_lies_is_one_warning_and_a_stop_goes_through(caplog):
    async def scenario(rig, link):
        await rig.wait_for(lambda: len(rig.samples) == 2)
        for _ in range(3):
            rig.session.command(Velocity(0.4))
            await asyncio.sleep(2 / CONFIG.command_rate)
        assert Velocity(0.4) not in link.told
        assert warned(caplog, 'the robot is lying down') == 1
        rig.session.command(STOP)
        await rig.wait_for(lambda: STOP in link.told)

    run(scenario, LYING)


STAND_UP, BALANCE = BY_NAME['stand_up'].mcf, BY_NAME['balance_stand'].mcf


def test_with_auto_stand_a_robot_that_lies_is_told_once_to_stand_up_and_then_to_balance():
    async def scenario(rig, link):
        await rig.wait_for(lambda: len(rig.samples) == 2)
        for _ in range(5):
            rig.session.command(Velocity(0.4))
            await asyncio.sleep(1 / CONFIG.command_rate)
        assert [r.api_id for r in link.asked].count(STAND_UP) == 1
        assert BALANCE not in [r.api_id for r in link.asked]
        assert Velocity(0.4) not in link.told
        rig.say(packet(standing(0.32)))
        await rig.wait_for(lambda: BALANCE in [r.api_id for r in link.asked])

    run(scenario, LYING, config=replace(CONFIG, auto_stand=True))


@pytest.mark.parametrize('name', ['damp', 'stop'])
def test_a_robot_that_was_told_to_go_limp_or_stop_is_not_stood_up_any_more(name):
    async def scenario(rig, link):
        await rig.wait_for(lambda: len(rig.samples) == 2)
        rig.session.command(Velocity(0.4))
        await rig.wait_for(lambda: STAND_UP in [r.api_id for r in link.asked])
        await rig.session.act(BY_NAME[name])
        rig.say(packet(standing(0.32)))
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert BALANCE not in [r.api_id for r in link.asked]

    run(scenario, LYING, config=replace(CONFIG, auto_stand=True))


def fault(kind, data):
    return Message(kind, '', data)


def test_faults_are_kept_as_the_robot_reports_them():
    async def scenario(rig, link):
        await rig.wait_for(lambda: rig.status.faults == {RobotFault(600, 8)})
        assert rig.status.dropped == 2
        assert len(rig.statuses) >= 3

    run(
        scenario,
        fault(MessageType.FAULTS, [[1, 300, 16]]),
        fault(MessageType.FAULT_ADDED, [2, 600, 8]),
        fault(MessageType.FAULT_ADDED, 'garbage'),
        fault(MessageType.FAULTS, [[1, 300]]),
        fault(MessageType.FAULT_REMOVED, [3, 300, 16]),
    )


def test_every_response_of_the_robot_is_passed_on():
    response = Message(MessageType.RESPONSE, 'rt/api/sport/response', {'header': {}})

    async def scenario(rig, link):
        await rig.wait_for(lambda: rig.responses == [response])

    run(scenario, response)


def test_settings_reach_the_robot_when_it_connects_and_when_they_change():
    config = replace(CONFIG, volume=3, speed_level=1)

    async def scenario(rig, link):
        await rig.wait_for(lambda: commands.set_volume(3) in link.asked)
        assert commands.set_speed_level(1) in link.asked
        asked = len(link.asked)
        rig.session.reconfigure(replace(config, volume=7, max_linear_x=0.2))
        await rig.wait_for(lambda: len(link.asked) > asked)
        assert link.asked[asked:] == [commands.set_volume(7)]
        rig.session.command(Velocity(0.9))
        await rig.wait_for(lambda: Velocity(0.2) in link.told)

    run(scenario, config=config)


def test_a_setting_that_the_robot_refuses_is_a_warning(caplog):
    def prepare(link):
        link.answers[commands.set_volume(3).api_id] = CommandRejected(1003, 3204)

    async def scenario(rig, link):
        await rig.wait_for(lambda: 'did not accept the setting' in caplog.text)
        assert rig.connected

    run(scenario, config=replace(CONFIG, volume=3), prepare=prepare)


def test_the_reason_for_being_away_is_told():
    async def main():
        rig = Rig([packet(1), LinkLost('robot X closed the data channel')])
        await rig.session.start()
        await rig.wait_for(lambda: 'X closed' in rig.status.reason)
        assert rig.status.links == 1
        await rig.session.stop()

    asyncio.run(main())
