"""Every fault, while the robot is commanded: it stands in time, and all comes back by itself."""

import pytest
import rclpy
from stage import FAULTS, play, stage
from support import read_output

MARGIN = 0.5  # s, for a busy machine; benchmarks/soak.py allows none


@pytest.fixture(scope='module')
def ours():
    rclpy.init()
    with stage() as made:
        yield made
    rclpy.shutdown()


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name)
def test_the_robot_stands_in_time_and_is_driven_again_afterwards(ours, fault):
    outcome = play(ours, fault)
    assert outcome.stopped <= outcome.bound + MARGIN
    assert 'Traceback' not in read_output(ours.driver)
    print(f'{fault.name}: stopped {outcome.stopped:.2f} of {outcome.bound:.2f} s, '
          f'back after {outcome.recovery:.2f} s')  # fmt: skip
