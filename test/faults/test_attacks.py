"""The hostile mix of ``benchmarks/attack.py``, one short burst of each."""

import sys
from pathlib import Path

import pytest
from driver_process import ACTIVATE, CONFIGURE, context, process, robot_in_this_process, user

BENCHMARKS = Path(__file__).parent.parent.parent / 'benchmarks'
__all__ = ['context', 'user']  # fixtures


@pytest.fixture
def attack(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import attack

    monkeypatch.setattr(attack, 'BURST', 0.4)
    yield attack
    sys.modules.pop('attack')


def test_a_robot_that_lies_in_every_way_is_driven_and_stopped_after_each(user, attack):
    with robot_in_this_process() as (go2, loop):
        arguments = ['-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{go2.ip}'"]
        with process('go2_webrtc_driver.ros.main', '--ros-args', *arguments) as started:
            assert user.transition(CONFIGURE)
            assert user.transition(ACTIVATE)
            for each in attack.ATTACKS:
                assert attack.play(each, go2, loop, user, started), each.__doc__
            assert 'Traceback' not in started.text
