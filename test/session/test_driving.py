"""The watchdog of one link, with a clock that the test turns: nothing here waits."""

import asyncio
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from rig import CONFIG, ScriptedLink
from support import warned

from go2_webrtc_driver.protocol.state import Imu, SportModeState
from go2_webrtc_driver.session import driving
from go2_webrtc_driver.session.driving import Driving
from go2_webrtc_driver.session.gate import ON_ITS_WAY, REPEAT_PERIOD
from go2_webrtc_driver.session.lasting import Lasting
from go2_webrtc_driver.tasks import Tasks
from go2_webrtc_driver.velocity import STOP, Velocity

FAST = Velocity(0.4)
IMU = Imu((0.0, 0.0, 0.0, 1.0), (0.0,) * 3, (0.0,) * 3, (0.0,) * 3, 0.0)
SLOW_TICK = replace(CONFIG, command_rate=5.0, command_timeout=0.5, blind_timeout=0.5)


def state(height=0.32, velocity=(0.0, 0.0, 0.0), turn=0.0):
    return SportModeState(0.0, 100, 0, 0, height, (0.1, 0.0, 0.0), velocity, turn, IMU)


class Bench:
    """A robot that is heard and takes velocities, and the time of day."""

    def __init__(self, config=SLOW_TICK):
        self.time = 100.0
        self.asleep = 0.0
        self.heard_at = self.time
        self.link = ScriptedLink([])
        self.lasting = Lasting(config, frozenset())
        self.driving = Driving(
            self.link, self.lasting, Tasks(), lambda: self.time,
            lambda: self.time - self.heard_at, lambda: self.time + self.asleep,
        )  # fmt: skip
        self.told_at_the_begin = list(self.link.told)
        self.link.told.clear()
        self.driving.trouble = ''

    def after(self, seconds):
        """Let time pass, while the loop runs and the robot is heard."""
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, self.time + 0.1)
            self.driving.look_at_the_clock()
        self.heard_at = self.time

    def stand_still(self, seconds):
        """Let time pass, while the process does not run."""
        self.time += seconds
        self.heard_at = self.time

    def told(self):
        """Return what the robot was told since the last look."""
        said, self.link.told = self.link.told, []
        return said


def on_a_bench(test):
    def run(*arguments, **options):
        async def main():
            bench = Bench()
            bench.after(driving.HOLD_TIME)
            test(bench, *arguments, **options)

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_bench
def test_a_link_begins_with_a_stop(bench):
    assert bench.told_at_the_begin == ['stop']


@on_a_bench
def test_a_velocity_is_sent_as_it_comes_and_waits_for_no_tick(bench):
    bench.driving.command(FAST, True)
    assert bench.told() == [FAST]


@on_a_bench
def test_a_new_velocity_just_after_a_repetition_is_sent_at_once(bench):
    bench.driving.command(FAST, True)
    bench.after(0.2)
    bench.driving.step()  # a repetition
    bench.told()
    bench.after(0.001)
    bench.driving.command(Velocity(0.3), True)
    assert bench.told() == [Velocity(0.3)]


@on_a_bench
def test_new_velocities_thin_each_other_out_and_the_newest_wins(bench):
    for speed in (0.1, 0.2, 0.3):
        bench.driving.command(Velocity(speed), True)
        bench.after(0.001)
    assert bench.told() == [Velocity(0.1)]
    bench.after(driving.SHORTEST_PAUSE)
    bench.driving.step()
    assert bench.told() == [Velocity(0.3)]


@on_a_bench
def test_for_a_moment_after_a_stop_that_nobody_commanded_no_velocity_is_taken_but_a_stop_is(bench):
    bench.driving.halt()
    bench.told()
    bench.after(driving.HOLD_TIME - 0.01)
    bench.driving.command(FAST, True)
    assert bench.told() == []
    bench.driving.command(STOP, True)
    assert bench.told()[0] == STOP
    bench.after(0.02)
    bench.driving.command(FAST, True)
    assert bench.told() == [FAST]


@on_a_bench
def test_at_the_end_of_a_link_nothing_but_a_stop_is_taken_any_more(bench):
    bench.driving.end()
    bench.after(10.0)
    bench.driving.command(FAST, True)
    assert bench.told() == ['stop']


@on_a_bench
def test_what_is_half_a_timeout_old_has_half_a_timeout_left(bench):
    bench.driving.command(FAST, True, age=0.3)
    assert bench.told() == [FAST]
    bench.after(0.19)
    bench.driving.step()
    assert bench.told() == [FAST]
    bench.after(0.02)
    bench.driving.step()
    assert bench.told() == ['stop']


def test_a_velocity_that_is_too_old_is_dropped_with_one_warning_and_a_stop_is_obeyed(caplog):
    @on_a_bench
    def scenario(bench):
        for _ in range(50):
            bench.driving.command(FAST, True, age=3.0)
            bench.driving.command(STOP, True, age=3.0)
        assert FAST not in bench.told()
        bench.after(1.0)
        bench.driving.command(STOP, True, age=3600.0)
        assert bench.told()[0] == STOP

    scenario()
    assert warned(caplog, 'velocities are dropped: expected one at most 0.5 s old') == 1
    assert 'this one is 3.00 s old' in caplog.text


@on_a_bench
def test_a_machine_that_slept_stops_the_robot_though_its_loop_did_not_notice(bench):
    bench.driving.command(FAST, True)
    bench.told()
    bench.asleep += 30.0  # CLOCK_MONOTONIC stood still meanwhile
    bench.after(0.001)
    bench.driving.command(FAST, True)  # it has waited in a queue
    assert bench.told() == ['stop']
    bench.after(driving.HOLD_TIME)
    bench.driving.command(FAST, True)
    assert bench.told() == [FAST]


def test_the_clock_that_is_looked_at_goes_on_while_the_machine_sleeps():
    """In a namespace where the machine has slept for a day since it was started."""
    there = ['unshare', '--time', '--boottime', '86400']
    if subprocess.run([*there, 'true'], capture_output=True, check=False).returncode:
        pytest.skip('this machine does not let us have a time of our own')
    script = (
        'import time; from go2_webrtc_driver.session import driving; '
        'print(driving.clock_that_never_stands_still() - time.monotonic())'
    )
    said = subprocess.run([*there, sys.executable, '-c', script], capture_output=True, check=True)
    here = driving.clock_that_never_stands_still() - time.monotonic()
    assert float(said.stdout) - here == pytest.approx(86400.0, abs=60.0)


@on_a_bench
def test_a_process_that_stood_still_stops_the_robot_first(bench):
    bench.driving.command(FAST, True)
    bench.told()
    bench.stand_still(2.0)
    bench.driving.command(FAST, True)
    assert bench.told() == ['stop']


@pytest.mark.parametrize(
    'moving',
    [{'velocity': (0.3, 0.0, 0.0)}, {'velocity': (0.0, 0.3, 0.0)}, {'turn': 0.3}],
    ids=['forward', 'sideways', 'turning'],
)
def test_a_stop_is_repeated_while_the_robot_reports_any_motion(moving):
    @on_a_bench
    def scenario(bench):
        bench.driving.halt()
        bench.told()
        bench.after(ON_ITS_WAY)
        for _ in range(3):
            bench.driving.note(state(**moving))
            bench.after(1.01 * REPEAT_PERIOD)
            bench.driving.step()
        assert bench.told() == ['stop again'] * 3
        bench.driving.note(state())
        bench.after(1.01 * REPEAT_PERIOD)
        bench.driving.step()
        assert bench.told() == []

    scenario()


@on_a_bench
def test_a_zero_velocity_after_a_motion_is_a_stop_and_is_repeated_until_it_is_seen(bench):
    bench.driving.command(FAST, True)
    bench.driving.command(STOP, True)
    assert bench.told() == [FAST, 'stop']
    bench.after(1.01 * REPEAT_PERIOD)
    bench.driving.command(STOP, True)
    assert bench.told() == [STOP, 'stop again']
    bench.after(ON_ITS_WAY)
    bench.driving.note(state())
    bench.driving.command(STOP, True)
    assert bench.told() == [STOP]


@on_a_bench
def test_a_robot_that_lies_down_on_its_way_is_stopped_though_it_is_told_to_walk(bench):
    bench.driving.command(FAST, True)
    bench.driving.note(state(height=0.08))
    bench.after(0.1)
    bench.driving.command(FAST, True)
    assert bench.told() == [FAST, 'stop']


@on_a_bench
def test_after_what_a_person_asks_for_a_zero_velocity_of_before_says_nothing_more(bench):
    bench.driving.command(FAST, True)
    bench.driving.command(STOP, True)
    bench.driving.give_way()
    bench.told()
    for _ in range(10):
        bench.after(0.1)
        bench.driving.step()
    assert bench.told() == []


@on_a_bench
def test_a_zero_velocity_that_expires_is_not_said_again(bench):
    bench.driving.command(STOP, True)
    bench.driving.note(state())
    bench.after(SLOW_TICK.command_timeout)
    bench.told()
    bench.driving.step()
    assert bench.told() == []


@on_a_bench
def test_zero_velocities_to_a_robot_that_rests_thin_each_other_out(bench):
    for _ in range(5):
        bench.driving.command(STOP, True)
        bench.after(0.001)
    assert bench.told() == [STOP, 'stop again']  # and one more at the next turn


@on_a_bench
def test_a_stop_does_not_end_the_end(bench):
    bench.driving.end()
    bench.driving.halt()
    bench.after(10.0)
    bench.driving.command(FAST, True)
    assert FAST not in bench.told()


@on_a_bench
def test_each_stop_that_a_person_asks_for_is_sent_at_once(bench):
    for _ in range(3):
        bench.driving.halt()
        assert bench.told() == ['stop']


@on_a_bench
def test_limits_of_speed_and_acceleration_change_at_once(bench):
    bench.lasting.config = replace(
        SLOW_TICK, max_linear_x=0.2, max_linear_acceleration=50.0, max_angular_acceleration=50.0
    )
    bench.driving.reconfigure()
    bench.driving.command(FAST, True)
    assert bench.told() == [Velocity(0.2)]
    bench.lasting.config = replace(bench.lasting.config, max_linear_acceleration=0.1)
    bench.driving.reconfigure()
    bench.driving.command(STOP, True)
    bench.after(0.1)
    bench.driving.step()
    bench.told()
    bench.after(0.1)
    bench.driving.command(FAST, True)
    (sent,) = bench.told()
    assert 0.0 < sent.x <= 0.1 * 0.11


@on_a_bench
def test_while_the_robot_is_told_to_stand_up_no_velocity_comes_between(bench):
    """StandUp, Move, BalanceStand: the body rose before the request had its answer."""
    bench.lasting.config = replace(SLOW_TICK, auto_stand=True)
    bench.driving.note(state(height=0.08))
    bench.driving.command(FAST, True)
    assert bench.told() == []
    bench.driving.note(state(height=0.32))
    bench.after(0.1)
    bench.driving.command(FAST, True)
    assert bench.told() == []
    bench.driving.command(STOP, True)
    assert bench.told() == [STOP]


def test_warnings_of_alternating_velocities_do_not_flood(caplog):
    @on_a_bench
    def scenario(bench):
        bench.lasting.damped = True
        for _ in range(50):
            bench.driving.command(FAST, True)
            bench.driving.command(STOP, True)

    scenario()
    assert warned(caplog, 'velocities are dropped') == 1


@on_a_bench
def test_a_robot_that_tells_nothing_of_its_motion_is_stopped_and_takes_no_velocity(bench):
    bench.driving.command(FAST, True)
    bench.told()
    bench.after(0.1)
    bench.heard_at -= 1.0
    bench.driving.step()
    assert bench.told() == ['stop']
    bench.driving.command(FAST, True)
    assert bench.told() == []


def test_a_robot_that_is_told_to_walk_and_stands_is_told_of_once_with_the_likely_reason(caplog):
    @on_a_bench
    def scenario(bench):
        for _ in range(40):
            bench.driving.command(FAST, True)
            bench.driving.note(replace(state(), error_code=driving.LOCKED))
            bench.after(0.1)
        assert 'joints are locked' in bench.driving.standstill
        bench.driving.note(state(velocity=(0.3, 0.0, 0.0)))
        assert bench.driving.standstill == ''

    scenario()
    assert warned(caplog, 'has not moved for 2 s: its joints are locked') == 1


@on_a_bench
def test_a_robot_that_reports_no_velocity_but_gets_on_is_not_taken_for_standing(bench):
    for number in range(40):
        bench.driving.command(FAST, True)
        bench.driving.note(replace(state(), position=(0.04 * number, 0.0, 0.3)))
        bench.after(0.1)
    assert bench.driving.standstill == ''


@on_a_bench
def test_a_robot_that_is_not_told_to_walk_may_stand(bench):
    bench.driving.command(FAST, True)
    bench.driving.command(STOP, True)
    for _ in range(40):
        bench.driving.note(state())
        bench.after(0.1)
    assert bench.driving.standstill == ''
