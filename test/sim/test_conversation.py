"""Over a real data channel: services, faults, and what decides whether voxel maps are sent."""

import asyncio

import pytest
from sim_client import talking
from support import simulated_robot, until

from go2_webrtc_driver.protocol.topics import Mode, Status, Topic
from go2_webrtc_driver.sim import __main__ as sim
from go2_webrtc_driver.sim.brain import reports
from go2_webrtc_driver.sim.wire.peer import Call

SPORT = Topic.SPORT_REQUEST.value
AVOID = Topic.OBSTACLES_AVOID_REQUEST.value
LIDAR = Topic.VOXEL_MAP.value
TRAFFIC = 'rtc_inner_req'


def is_map(message):
    return message['type'] == 'frame'


def is_fault(message):
    return message['type'] in ('add_error', 'rm_error')


def run(conversation, **options):
    """Run ``conversation(go2, talk, faults)`` with a robot and its valid client."""

    async def main():
        async with simulated_robot(**options) as (go2, _), talking(go2) as (talk, faults):
            await conversation(go2, talk, faults)

    asyncio.run(main())


def test_every_service_answers_on_its_own_topic_and_is_remembered():
    async def conversation(go2, talk, _):
        found = await talk.ask(Topic.MOTION_SWITCHER_REQUEST.value, 1001)
        assert found == (0, {'form': '0', 'name': 'normal'})
        assert await talk.ask(AVOID, 1001, {'enable': True}) == (0, '')
        assert await talk.ask(Topic.VUI_REQUEST.value, 1003, {'volume': 2}) == (0, '')
        assert await talk.ask(SPORT, 1027, {'data': False}) == (0, '')
        assert await talk.ask(AVOID, 1004, {'is_remote_commands_from_api': True}) == (0, '')
        assert (go2.mode, go2.avoids_obstacles, go2.volume) == ('normal', True, 2)
        assert (go2.joystick_on, go2.remote_from_api, go2.brightness) == (False, True, 0)
        assert [api for _, api, _, _ in go2.requests] == [1027]
        assert [(call.topic, call.api_id) for call in go2.calls] == [
            (Topic.MOTION_SWITCHER_REQUEST.value, 1001), (AVOID, 1001),
            (Topic.VUI_REQUEST.value, 1003), (SPORT, 1027), (AVOID, 1004),
        ]  # fmt: skip
        assert go2.calls[1] == Call(go2.calls[1].time, AVOID, 1001, '{"enable": true}', Status.OK)

    run(conversation, mode='normal')


def test_a_request_of_type_msg_is_answered_too():
    async def conversation(go2, talk, _):
        assert await talk.ask(SPORT, 1003, kind='msg') == (0, '')

    run(conversation)


def test_the_avoidance_s_move_gets_no_response():
    async def conversation(go2, talk, _):
        await talk.ask(AVOID, 1004, {'is_remote_commands_from_api': True})
        talk.request(AVOID, 1003, {'x': 0.5, 'y': 0, 'yaw': 0, 'mode': 0})
        await until(lambda: go2.calls[-1].api_id == 1003)
        await talk.hear_nothing_like(lambda m: m['type'] == 'res', 0.2)
        assert go2.calls[-1].status == 0
        go2.advance()
        assert go2.robot.pose.x > 0.0

    run(conversation)


def test_the_joystick_walks_the_robot():
    async def conversation(go2, talk, _):
        sticks = {'lx': 0, 'ly': 1.0, 'rx': 0, 'ry': 0, 'keys': 0}
        talk.send('msg', Topic.WIRELESS_CONTROLLER.value, sticks)
        state = Topic.SPORT_MODE_STATE.value
        talk.send('subscribe', state)
        await talk.hear(lambda m: m['topic'] == state and m['data']['mode'] == Mode.LOCOMOTION)

    run(conversation)


def test_faults_are_in_the_snapshot_and_come_and_go():
    async def main():
        async with simulated_robot() as (go2, _):
            go2.add_fault(300, 16)
            async with talking(go2) as (talk, faults):
                ((began, *fault),) = faults
                assert fault == [300, 16]
                assert isinstance(began, int)
                go2.add_fault(100, 1)
                go2.add_fault(100, 1)
                go2.remove_fault(300, 16)
                heard = [await talk.hear(is_fault) for _ in range(2)]
                assert [(m['type'], m['data'][1:]) for m in heard] == [
                    ('add_error', [100, 1]), ('rm_error', [300, 16]),
                ]  # fmt: skip
                assert heard[1]['data'][0] == began

    asyncio.run(main())


def test_a_healthy_robot_has_no_faults():
    async def conversation(go2, talk, faults):
        assert faults == []
        go2.remove_fault(300, 16)
        await talk.hear_nothing_like(is_fault, 0.1)

    run(conversation)


def test_a_battery_below_ten_percent_is_a_fault_until_it_is_charged():
    async def conversation(go2, talk, faults):
        assert [fault[1:] for fault in faults] == [[600, 8]]
        go2.robot.battery.charge = 0.5
        go2.advance()
        assert (await talk.hear(is_fault))['type'] == 'rm_error'
        go2.robot.battery.charge = 0.0999
        talk.send('subscribe', Topic.SPORT_MODE_STATE.value)
        assert (await talk.hear(is_fault))['data'][1:] == [600, 8]

    run(conversation, battery=0.05)


def test_the_low_state_has_the_charge_the_robot_started_with():
    async def conversation(go2, talk, _):
        state = await talk.topic(Topic.LOW_STATE.value)
        assert state['bms_state']['soc'] == 87
        assert -3000 < state['bms_state']['current'] < -2000
        assert state['foot_force'] == [97, 84, 81, 81]
        assert [motor['q'] for motor in state['motor_state'][12:]] == [0] * 8

    run(conversation)


def test_voxel_maps_come_only_while_traffic_saving_is_disabled():
    async def conversation(go2, talk, _):
        talk.send('subscribe', LIDAR)
        await talk.hear_nothing_like(is_map, 0.5)
        talk.send(TRAFFIC, data={'req_type': 'disable_traffic_saving', 'instruction': 'on'})
        assert (await talk.hear(lambda m: 'execution' in m.get('info', {})))['info'] == {
            'req_type': 'disable_traffic_saving', 'execution': 'ok',
        }  # fmt: skip
        await talk.hear(is_map)
        talk.send(TRAFFIC, data={'req_type': 'disable_traffic_saving', 'instruction': 'off'})
        await talk.hear(lambda m: 'execution' in m.get('info', {}))
        await talk.hear_nothing_like(is_map, 0.5)

    run(conversation)


def test_a_lidar_that_is_off_sends_no_voxel_maps():
    async def conversation(go2, talk, _):
        talk.send(TRAFFIC, data={'req_type': 'disable_traffic_saving', 'instruction': 'on'})
        talk.send('subscribe', LIDAR)
        await talk.hear(is_map)
        talk.send('msg', Topic.LIDAR_SWITCH.value, 'OFF')
        await until(lambda: not go2.lidar_on)
        assert (await talk.topic(Topic.LIDAR_STATE.value))['cloud_frequency'] == 0
        await talk.hear_nothing_like(is_map, 0.5)
        talk.send('msg', Topic.LIDAR_SWITCH.value, 'on')
        await talk.hear(is_map)

    run(conversation)


def test_services_and_lidar_report_once_a_second():
    async def conversation(go2, talk, _):
        services = {each['name']: each['status'] for each in await talk.topic('rt/servicestate')}
        assert (services['mcf'], services['sport_mode']) == (1, 0)
        lidar = await talk.topic(Topic.LIDAR_STATE.value)
        assert (lidar['error_state'], lidar['cloud_frequency']) == (0, 15.4)

    run(conversation)


@pytest.mark.parametrize('mode', ['mcf', 'normal', 'ai', ''])
def test_at_most_one_sport_service_runs(mode):
    running = [each.name for each in reports.services(mode) if each.running]
    assert sum(name in reports.SPORT_SERVICES for name in running) == bool(mode)


def test_the_command_line_sets_mode_and_charge():
    options = sim._robot_options(sim._parse(['--mode', 'normal', '--battery', '9']))
    assert (options.mode, options.battery) == ('normal', 0.09)
    options = sim._robot_options(sim._parse([]))
    assert (options.mode, options.battery) == ('mcf', 0.87)


@pytest.mark.parametrize(
    'wrong', [['--battery', '101'], ['--battery', 'nan'], ['--battery', 'full'], ['--mode', 'x']]
)
def test_the_command_line_refuses_what_is_no_mode_or_no_charge(wrong):
    with pytest.raises(SystemExit):
        sim._parse(wrong)


def test_a_message_on_another_topic_changes_nothing():
    async def conversation(go2, talk, _):
        talk.send('msg', 'rt/lowcmd', {'level': 1})
        talk.send('req', SPORT, 'no header')
        assert await talk.ask(SPORT, 1003) == (0, '')
        assert len(go2.calls) == 1

    run(conversation)
