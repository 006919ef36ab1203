import pytest

from go2_webrtc_driver.errors import InvalidCommand
from go2_webrtc_driver.velocity_gate import EXPIRED, STOP, Velocity, VelocityGate

LIMIT = Velocity(1.0, 0.5, 1.5)


def test_gate_is_silent_before_the_first_command():
    assert VelocityGate(LIMIT, 0.5).output(10.0) is None


def test_gate_limits_each_axis_and_keeps_the_sign():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(Velocity(9.0, -9.0, -0.2), now=0.0)
    assert gate.output(0.1) == Velocity(1.0, -0.5, -0.2)


def test_gate_stops_once_when_the_command_expires():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(Velocity(0.3), now=0.0)
    assert gate.output(0.4) == Velocity(0.3)
    assert gate.output(0.5) is EXPIRED
    assert gate.output(0.6) is None


def test_gate_passes_a_zero_command_on():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(STOP, now=0.0)
    assert gate.output(0.1) == STOP


def test_the_newest_command_wins():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(Velocity(0.3), now=0.0)
    gate.command(Velocity(-0.1), now=0.0)
    assert gate.output(0.0) == Velocity(-0.1)


def test_a_new_limit_holds_for_the_command_that_is_already_there():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(Velocity(0.9), now=0.0)
    gate.limit = Velocity(0.2, 0.2, 0.2)
    assert gate.output(0.1) == Velocity(0.2)


def test_a_cleared_gate_forgets_the_command():
    gate = VelocityGate(LIMIT, 0.5)
    gate.command(Velocity(0.9), now=0.0)
    gate.clear()
    assert gate.output(0.1) is None


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('axis', ['x', 'y', 'yaw'])
def test_a_velocity_that_is_not_finite_cannot_be_made(axis, bad):
    with pytest.raises(InvalidCommand, match='finite'):
        Velocity(**{axis: bad})
