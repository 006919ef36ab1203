import pytest

from go2_webrtc_driver.errors import InvalidCommand
from go2_webrtc_driver.session.gate import (
    ON_ITS_WAY,
    REPEAT_PERIOD,
    REPEAT_TIME,
    NoVelocity,
    Stopping,
    VelocityGate,
)
from go2_webrtc_driver.velocity import STOP, Velocity

LIMIT = Velocity(1.0, 0.5, 1.5)
AT_ONCE = Velocity(1e6, 1e6, 1e6)


def test_gate_is_silent_before_the_first_command():
    assert VelocityGate(LIMIT, AT_ONCE, 0.5).output(10.0) is NoVelocity.NOTHING


def test_gate_limits_each_axis_and_keeps_the_sign():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(Velocity(9.0, -9.0, -0.2), given_at=0.0)
    assert gate.output(0.1) == Velocity(1.0, -0.5, -0.2)


def test_gate_stops_once_when_the_command_expires():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(Velocity(0.3), given_at=0.0)
    assert gate.output(0.4) == Velocity(0.3)
    assert gate.output(0.5) is NoVelocity.EXPIRED
    assert gate.output(0.6) is NoVelocity.NOTHING


def test_gate_passes_a_zero_command_on():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(STOP, given_at=0.0)
    assert gate.output(0.1) == STOP


def test_the_newest_command_wins():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(Velocity(0.3), given_at=0.0)
    gate.command(Velocity(-0.1), given_at=0.0)
    assert gate.output(0.0) == Velocity(-0.1)


def test_a_new_limit_holds_for_the_command_that_is_already_there():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(Velocity(0.9), given_at=0.0)
    gate.limit = Velocity(0.2, 0.2, 0.2)
    assert gate.output(0.1) == Velocity(0.2)


def test_a_cleared_gate_forgets_the_command():
    gate = VelocityGate(LIMIT, AT_ONCE, 0.5)
    gate.command(Velocity(0.9), given_at=0.0)
    gate.clear()
    assert gate.output(0.1) is NoVelocity.NOTHING


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('axis', ['x', 'y', 'yaw_rate'])
def test_a_velocity_that_is_not_finite_cannot_be_made(axis, bad):
    with pytest.raises(InvalidCommand, match='finite'):
        Velocity(**{axis: bad})


def test_speeding_up_takes_time_and_slowing_down_does_not():
    gate = VelocityGate(LIMIT, Velocity(2.0, 2.0, 4.0), 0.5)
    gate.output(0.0)
    gate.command(Velocity(1.0, -0.5, 1.0), given_at=0.0)
    assert gate.output(0.1) == Velocity(0.2, -0.2, 0.4)
    assert gate.output(0.2) == Velocity(0.4, -0.4, 0.8)
    gate.command(Velocity(0.1, 0.0, 0.2), given_at=0.2)
    assert gate.output(0.21) == Velocity(0.1, 0.0, 0.2)


def test_turning_round_begins_at_rest():
    gate = VelocityGate(LIMIT, Velocity(2.0, 2.0, 4.0), 0.5)
    gate.command(Velocity(0.4), given_at=0.0)
    gate.output(0.0)
    gate.command(Velocity(-0.4), given_at=0.0)
    assert gate.output(0.1) == Velocity(-0.2)


def test_a_pause_between_two_outputs_is_no_run_up():
    gate = VelocityGate(LIMIT, Velocity(2.0, 2.0, 4.0), 0.5)
    gate.output(0.0)
    gate.command(Velocity(1.0), given_at=60.0)
    assert gate.output(60.0).x < 0.5


def test_what_was_not_sent_does_not_count_as_speed():
    gate = VelocityGate(LIMIT, Velocity(2.0, 2.0, 4.0), 0.5)
    gate.output(0.0)
    gate.command(Velocity(1.0), given_at=0.0)
    gate.output(0.1)
    gate.rest()
    assert gate.output(0.2) == Velocity(0.2)


def test_a_stop_is_repeated_until_the_robot_says_that_it_stands():
    stopping = Stopping()
    stopping.begin(0.0)
    halves = (n * REPEAT_PERIOD / 2 for n in range(1, 5))
    assert [stopping.is_due(now) for now in halves] == [False, True, False, True]
    stopping.note(Velocity(0.3), 0.6)
    assert stopping.is_due(0.7)
    stopping.note(Velocity(0.01), 0.8)
    assert not stopping.is_due(5.0)
    assert not stopping.has_failed(5.0)


def test_what_was_on_its_way_when_the_robot_was_told_to_stop_does_not_show_that_it_stands():
    stopping = Stopping()
    stopping.begin(1.0)
    stopping.note(STOP, 1.0 + 0.5 * ON_ITS_WAY)
    assert stopping.is_due(1.0 + ON_ITS_WAY)


def test_a_stop_that_is_not_followed_is_given_up_once():
    stopping = Stopping()
    stopping.begin(0.0)
    stopping.note(Velocity(0.3), 1.0)
    assert not stopping.has_failed(REPEAT_TIME - 0.1)
    assert stopping.has_failed(REPEAT_TIME)
    assert not stopping.has_failed(REPEAT_TIME + 1.0)
    assert not stopping.is_due(REPEAT_TIME + 1.0)


def test_a_robot_that_tells_nothing_of_its_motion_is_not_said_to_move_after_a_stop():
    stopping = Stopping()
    stopping.begin(0.0)
    assert not stopping.has_failed(REPEAT_TIME)
    assert not stopping.is_due(REPEAT_TIME + 1.0)
