"""The lifecycle node: its parameters, its transitions, its end."""

from __future__ import annotations

import functools
import logging
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ..config import DriverConfig
from ..errors import Go2Error
from ..link import aiortc_patch
from ..session.lasting import Status
from ..signaling.credentials import load_credentials
from ..signaling.methods import signaling_factory
from . import log_bridge
from .calibration import load_calibrations
from .diagnostics import Diagnostics
from .overrides import check_qos_overrides, warn_of_unknown
from .parameters import Parameters
from .publications import HAS_TF
from .setup import Setup
from .share import share_directory
from .shared_memory import SharedMemory
from .transitions import Transitions

logger = logging.getLogger(__name__)

NODE_NAME = 'go2_driver'
WANT_PERIOD = 0.2  # s, within which a new subscriber's data is asked for
DIAGNOSTICS_PERIOD = 1.0  # s
LONGEST_SILENCE = 3.0  # s, without a status of an active session: its loop stands still

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(work: Callable[[Any], None]) -> Transition:
    """
    Make a lifecycle callback of a method: rclpy would swallow its exceptions.

    One of ours is one error line and FAILURE; any other is a bug, with traceback, and ERROR.
    """

    @functools.wraps(work)
    def callback(self: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            work(self)
        except Go2Error as error:
            logger.error('%s failed: %s', work.__name__.removeprefix('on_'), error)
            return FAILURE
        except Exception:  # noqa: BLE001 - a thread border: nothing above us looks
            logger.critical(traceback.format_exc())
            return ERROR
        return SUCCESS

    return callback


class Go2Driver(LifecycleNode):  # type: ignore[misc]
    """
    A Go2 as a ROS 2 lifecycle node; README.md lists what each transition does.

    Attributes:
        finished: whether the process should exit, with status 1: the session ended with a bug,
            or ``on_link_lost`` says so.
        shared_memory: through which pictures go, as far as the process knows.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters; ``kwargs`` are those of ``rclpy.node.Node``."""
        super().__init__(NODE_NAME, **kwargs)
        self.finished = False
        self.shared_memory: SharedMemory | None = None
        self._setup: Setup | None = None
        self._is_stopping = False
        self._bridge = log_bridge.attach(self.get_logger())
        self._ros_parameters = Parameters(
            self, lambda: self._setup is not None, self._on_new_config
        )
        self._transitions = Transitions(self)
        self._diagnostics = Diagnostics(str(self.get_fully_qualified_name()).lstrip('/'))
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._status: Status | None = None
        self._timers_of_ours = [
            self._repeat(WANT_PERIOD, self._look_for_subscribers),
            self._repeat(DIAGNOSTICS_PERIOD, self._tell_what_no_session_tells),
        ]

    def _repeat(self, period: float, work: Callable[[], None]) -> Any:
        """Make a timer that a paused simulation's clock does not hold up."""
        return self.create_timer(period, work, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @transition
    def on_configure(self) -> None:
        """Read the parameters and make everything but traffic to the robot."""
        config = self._ros_parameters.read()
        check_qos_overrides(self)
        credentials = load_credentials(config.credentials_file, os.environ)
        aiortc_patch.apply()
        signaling = signaling_factory(config, credentials)
        calibrations = load_calibrations(config.camera_info_file, share_directory() / 'config')
        self._diagnostics.hardware_id = config.serial_number or config.robot_ip
        if config.publish_tf and not HAS_TF:
            logger.warning('tf2_msgs is not installed: nothing is published on /tf')
        self._setup = self._transitions.in_executor(
            lambda: Setup(
                self, config, calibrations, signaling, self._tell, self._on_lost, self._on_crash
            )
        )
        warn_of_unknown(self)

    @transition
    def on_activate(self) -> None:
        """Connect to the robot, or begin to try."""
        self._diagnostics.loss = ''
        if self._is_stopping:
            self._configured.stop()
        self._configured.activate()

    @transition
    def on_deactivate(self) -> None:
        """Stop the robot and free its client slot."""
        self._configured.deactivate()

    @transition
    def on_cleanup(self) -> None:
        """Destroy what configure made."""
        self.close()

    @transition
    def on_shutdown(self) -> None:
        """Stop the robot and destroy everything."""
        self.close()

    @transition
    def on_error(self) -> None:
        """Stop the robot and go back to unconfigured."""
        self.close()

    @property
    def _configured(self) -> Setup:
        """What configure has made; rclpy lets no transition in that needs it before."""
        assert self._setup is not None
        return self._setup

    @property
    def is_busy(self) -> bool:
        """Whether a transition is going on."""
        return self._transitions.are_running

    def stop(self) -> None:
        """Stop the robot and end a transition that waits for it; no other one follows."""
        self._is_stopping = True
        if (setup := self._setup) is not None:
            setup.stop()

    def close(self) -> None:
        """Stop the robot, join the loop, destroy what configure made; safe to repeat."""
        setup, self._setup = self._setup, None
        if setup is not None:
            ended = setup.end_loop()
            self._status = None
            if ended:
                self._transitions.in_executor(setup.destroy)

    def destroy_node(self) -> None:
        """Close, then destroy the node."""
        self.close()
        log_bridge.detach(self._bridge)
        super().destroy_node()

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """Refuse a transition that the state does not have; rclpy would end its executor."""
        machine = self._state_machine
        if transition_id not in (each[0] for each in machine.available_transitions):
            state = machine.current_state[1]
            logger.warning('transition %d refused: the node is %s', transition_id, state)
            return FAILURE
        return super()._LifecycleNodeMixin__change_state(transition_id)

    def _look_for_subscribers(self) -> None:
        if self._setup is not None:
            self._setup.look_for_subscribers()

    def _tell(self, status: Status | None) -> None:
        """Publish the diagnostics of a session; called on its loop's thread."""
        self._status = status
        stamp = self.get_clock().now().to_msg()
        array = self._diagnostics.array(status, stamp, self.shared_memory)
        self._diagnostics_publisher.publish(array)

    def _tell_what_no_session_tells(self) -> None:
        """Publish the diagnostics while the node is not active, or its loop stands still."""
        self._look_at_cmd_vel()
        status = self._status
        if status is None:
            self._tell(None)
        elif (silence := time.monotonic() - status.at) > LONGEST_SILENCE:
            stamp = self.get_clock().now().to_msg()
            self._diagnostics_publisher.publish(self._diagnostics.standstill(silence, stamp))

    def _look_at_cmd_vel(self) -> None:
        trouble = self._setup.trouble_of_cmd_vel() if self._setup is not None else ''
        if trouble and trouble != self._diagnostics.cmd_vel:
            logger.warning('%s', trouble)
        self._diagnostics.cmd_vel = trouble

    def _on_lost(self, reason: str) -> None:
        """Deactivate or shut down, as configured; the session has ended already."""
        done = self._transitions.submit(lambda: self._follow_on_link_lost(reason))
        done.add_done_callback(self._note_failure)

    def _note_failure(self, done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._on_crash(error)

    def _follow_on_link_lost(self, reason: str) -> None:
        self._diagnostics.loss = reason
        if self._ros_parameters.read().on_link_lost == 'deactivate':
            self.trigger_deactivate()
        else:
            self.trigger_shutdown()
            self.finished = True

    def _on_crash(self, error: BaseException) -> None:
        self.finished = True
        logger.critical(''.join(traceback.format_exception(error)))

    def _on_new_config(self, config: DriverConfig) -> None:
        if self._setup is not None:
            self._setup.reconfigure(config)
