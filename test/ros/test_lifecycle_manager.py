"""
The driver under a lifecycle manager that does what Nav2's does.

Its calls, their order and their bounds are those of nav2_lifecycle_manager and nav2_util of
Jazzy; Humble, Kilted and main differ in nothing that matters here. No bond is made, as with
``bond_timeout: 0.0``.
"""

import time

import pytest
import rclpy
from driver_process import SIM, context, driver, robot, robot_ip, told, user
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from support import free_address, interrupt, process, wait_for_output, wait_until

from go2_webrtc_driver.protocol.topics import SportApi

__all__ = ['context', 'robot', 'robot_ip', 'user']  # fixtures
SERVICE_TIMEOUT = 5.0  # s, for change_state to be there
STATE_TIMEOUT = 2.0  # s, for get_state to be there, and again for its answer
AFTER = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED,
}


class LifecycleManager:
    """Manages one node, by the services of its name."""

    def __init__(self, node, name):
        self._node = node
        self._change_state = node.create_client(ChangeState, f'{name}/change_state')
        self._get_state = node.create_client(GetState, f'{name}/get_state')
        wait_until(lambda: self._get_state.wait_for_service(2.0))

    def destroy(self):
        self._node.destroy_client(self._change_state)
        self._node.destroy_client(self._get_state)

    def startup(self):
        return self.change(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)

    def pause(self):
        return self.change(Transition.TRANSITION_DEACTIVATE)

    def resume(self):
        return self.change(Transition.TRANSITION_ACTIVATE)

    def reset(self):
        return self.change(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)

    def shutdown(self):
        """Go on, whatever fails; Nav2 looks at none of the three results."""
        return [
            self.change(each)
            for each in (
                Transition.TRANSITION_DEACTIVATE,
                Transition.TRANSITION_CLEANUP,
                Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
            )
        ]

    def change(self, *transitions):
        return all(self._change(each) for each in transitions)

    def _change(self, transition):
        assert self._change_state.wait_for_service(SERVICE_TIMEOUT)
        request = ChangeState.Request(transition=Transition(id=transition))
        # Nav2 waits for the answer without a bound; this one is the test's.
        return (
            self._call(self._change_state, request, 30.0).success
            and self.state() == AFTER[transition]
        )

    def state(self):
        assert self._get_state.wait_for_service(STATE_TIMEOUT)
        return self._call(self._get_state, GetState.Request(), STATE_TIMEOUT).current_state.id

    def _call(self, client, request, timeout):
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self._node, future, timeout_sec=timeout)
        assert future.done(), 'no answer in time'
        return future.result()


@pytest.fixture
def manage(user):
    """Make a manager of the user's driver; in its namespace, as Nav2's node_names are."""
    made = []

    def manage():
        made.append(LifecycleManager(user, 'go2_driver'))
        return made[-1]

    yield manage
    for each in made:
        each.destroy()


def test_the_manager_brings_the_driver_up_and_down(user, robot, manage):
    with driver(user, robot.ip) as started:
        manager = manage()
        assert manager.startup()
        user.until(lambda: user.odometry)
        assert manager.shutdown() == [True, True, True]
        assert told(robot)[-1] == (SportApi.STOP_MOVE, '')
        user.until(lambda: robot.client is None)
        status, _, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output


def test_the_manager_pauses_and_resumes_and_starts_anew_after_a_reset(user, robot_ip, manage):
    with driver(user, robot_ip):
        manager = manage()
        assert manager.startup()
        assert manager.pause()
        assert manager.resume()
        assert manager.reset()
        user.odometry.clear()
        assert manager.startup()
        user.until(lambda: user.odometry)


def test_a_robot_that_is_away_ends_the_bringup_in_bound_and_the_next_one_works(user, manage):
    ip = free_address()
    with driver(user, ip, 'connect_timeout:=3.0') as started:
        manager, begun = manage(), time.monotonic()
        assert not manager.startup()
        assert time.monotonic() - begun < 3.0 + 5.0
        assert manager.state() == State.PRIMARY_STATE_INACTIVE
        wait_for_output(started, f'activate failed: robot {ip}')
        with process(SIM, '--ip', ip, ready='listens'):
            assert manager.resume()
            assert manager.shutdown() == [True, True, True]


def test_without_wait_for_robot_the_manager_need_not_wait_for_it(user, manage):
    ip = free_address()
    with driver(user, ip, 'wait_for_robot:=false'):
        assert manage().startup()
        with process(SIM, '--ip', ip, ready='listens'):
            user.until(lambda: user.odometry, timeout=30.0)


def test_a_shutdown_before_the_startup_ends_as_nav2_expects(user, manage):
    """Its deactivate and cleanup fail, as of any node; the shutdown works."""
    with driver(user, '127.0.0.1'):
        manager = manage()
        assert manager.shutdown() == [False, False, True]
        assert manager.state() == State.PRIMARY_STATE_FINALIZED
