"""The lifecycle node: transitions and wiring."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from ..complaints import Complaints
from ..config import DriverConfig
from ..errors import ConfigError, Go2Error, InvalidCommand, LinkLost
from ..link import aiortc_patch
from ..link.link import open_link
from ..protocol.decoders import DECODERS
from ..protocol.messages import Message
from ..protocol.motion import MOTIONS
from ..session.session import RobotSession
from ..signaling.credentials import load_credentials
from ..signaling.methods import SignalingFactory, signaling_factory
from . import log_bridge
from .calibration import load_calibrations
from .conversions import to_velocity
from .diagnostics import Diagnostics
from .event_loop_thread import EventLoopThread, exclusive
from .mounts import publish_mounts
from .overrides import check_qos_overrides, warn_of_unknown
from .parameters import Parameters
from .publications import (
    HAS_TF,
    PUBLICATIONS,
    Context,
    Publication,
    publisher_qos,
    wanted_sources,
)
from .services import Services
from .shared_memory import SharedMemory
from .stamps import Stamps, age

logger = logging.getLogger(__name__)

NODE_NAME = 'go2_driver'
STOP_TIMEOUT = 4.0  # s, to stop the robot and close the link
JOIN_TIMEOUT = 1.0  # s, for the loop's thread to end
TURN_TIMEOUT = 2.0  # s, for a transition to end whose session was ended
WANT_PERIOD = 0.2  # s, within which a new subscriber's data is asked for
DIAGNOSTICS_PERIOD = 1.0  # s

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
            with self.turn:
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
    A Go2 as a ROS 2 lifecycle node; docs/architecture.md draws its transitions.

    Attributes:
        finished: whether the process should exit, with status 1: the session ended with a bug,
            or ``on_link_lost`` says so.
        turn: who holds it changes what the node is made of.
        shared_memory: through which pictures go, as far as the process knows.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters; ``kwargs`` are those of ``rclpy.node.Node``."""
        super().__init__(NODE_NAME, **kwargs)
        self.finished = False
        self.shared_memory: SharedMemory | None = None
        self.turn = exclusive()
        self._is_stopping = False
        self._complaints = Complaints(logger)
        self._bridge = log_bridge.attach(self.get_logger())
        self._ros_parameters = Parameters(
            self, lambda: self._loop is not None, self._on_new_config
        )
        self._loop: EventLoopThread | None = None
        self._session: RobotSession | None = None
        self._conversion: Context | None = None
        self._signaling: SignalingFactory | None = None
        self._config = DriverConfig()
        self._publishers_of: dict[str, list[tuple[Publication, Any]]] = {}
        self._mounts_publisher: Any = None
        self._subscription: Any = None
        self._robot_services: Services | None = None
        self._stamps = Stamps(lambda: self.get_clock().now().nanoseconds)
        self._twist_group = MutuallyExclusiveCallbackGroup()
        self._diagnostics = Diagnostics(self._full_name(), '')
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._timers_of_ours = [
            self._repeat(WANT_PERIOD, self._ask_for_what_is_wanted),
            self._repeat(DIAGNOSTICS_PERIOD, self._tell_state),
        ]
        # In the group of the lifecycle services: it takes its turn among their transitions.
        self._on_lost = self.create_guard_condition(self._follow_on_link_lost)

    def _repeat(self, period: float, work: Callable[[], None]) -> Any:
        """Make a timer that neither a transition nor a paused simulation's clock holds up."""
        return self.create_timer(
            period,
            work,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    @transition
    def on_configure(self) -> None:
        """Read the parameters and make everything but traffic to the robot."""
        self._config = self._ros_parameters.read()
        check_qos_overrides(self)
        credentials = load_credentials(self._config.credentials_file, os.environ)
        aiortc_patch.apply()
        self._signaling = signaling_factory(self._config, credentials)
        self._conversion = Context(
            self._config,
            load_calibrations(self._config.camera_info_file, share_directory() / 'config'),
        )
        self._diagnostics = Diagnostics(
            self._full_name(), self._config.serial_number or self._config.robot_ip
        )
        if self._config.publish_tf and not HAS_TF:
            logger.warning('tf2_msgs is not installed: nothing is published on /tf')
        self._create_publishers()
        self._subscribe()
        self._robot_services = Services(self, self._config, self._ask)
        self._loop = EventLoopThread('go2', self._on_crash)
        warn_of_unknown(self)

    def _create_publishers(self) -> None:
        for row in PUBLICATIONS:
            publisher = self.create_lifecycle_publisher(
                row.message_type,
                row.topic,
                publisher_qos(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for source in (row.source, *row.also):
                self._publishers_of.setdefault(source, []).append((row, publisher))
        self._mounts_publisher = publish_mounts(self, self._config)

    def _subscribe(self) -> None:
        stamped = self._config.cmd_vel_type == 'twist_stamped'
        self._subscription = self.create_subscription(
            TwistStamped if stamped else Twist,
            'cmd_vel',
            self._on_stamped_cmd_vel if stamped else self._on_cmd_vel,
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
            callback_group=self._twist_group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    @transition
    def on_activate(self) -> None:
        """Connect to the robot, or begin to try."""
        assert self._loop is not None
        assert self._conversion is not None
        assert self._signaling is not None
        self._diagnostics.loss = ''
        signaling, motion = self._signaling, MOTIONS[self._config.motion_interface]
        self._set_publishers('on_activate')
        self._session = RobotSession(
            self._config,
            DECODERS,
            self._wanted(),
            lambda is_news: open_link(signaling(), self._config.connect_timeout, motion, is_news),
            self._conversion.latest.clear,
            self._on_sample,
            self._on_crash,
            self._on_response,
            self._tell_state,
            self._on_lost.trigger,
            lambda: signaling().wait_for_return(),
        )
        try:
            if self._is_stopping:
                raise LinkLost('the process ends')
            self._loop.run(self._session.start(), self._config.connect_timeout + STOP_TIMEOUT)
        except BaseException:
            self._end_session()
            self._set_publishers('on_deactivate')
            raise

    @transition
    def on_deactivate(self) -> None:
        """Stop the robot and free its client slot."""
        self._end_session()
        self._set_publishers('on_deactivate')

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

    def stop(self) -> None:
        """Stop the robot and end a transition that waits for it; no other one follows."""
        self._is_stopping = True
        self._end_session()

    def close(self) -> None:
        """Stop the robot, join the loop, destroy what configure made; safe to repeat."""
        self._end_session()
        if not self.turn.acquire(timeout=TURN_TIMEOUT):
            logger.error('a transition did not end in time')
            return
        try:
            self._destroy_what_configure_made()
        finally:
            self.turn.release()

    def _destroy_what_configure_made(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            self._join(loop)
        for _, publisher in {pair for pairs in self._publishers_of.values() for pair in pairs}:
            self.destroy_lifecycle_publisher(publisher)
        self._publishers_of.clear()
        if self._mounts_publisher is not None:
            self.destroy_publisher(self._mounts_publisher)
            self._mounts_publisher = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._robot_services is not None:
            self._robot_services.destroy()
            self._robot_services = None

    def destroy_node(self) -> None:
        """Close, then destroy the node."""
        self.close()
        log_bridge.detach(self._bridge)
        super().destroy_node()

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """Refuse a transition that the state does not have; rclpy would end its executor."""
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except rclpy_implementation.RCLError as error:
            logger.warning('transition %d refused: %s', transition_id, error)
            return FAILURE

    def _set_publishers(self, transition_name: str) -> None:
        for _, publisher in {pair for pairs in self._publishers_of.values() for pair in pairs}:
            getattr(publisher, transition_name)(None)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None or self._loop is None:
            return
        try:
            self._loop.run(session.stop(), STOP_TIMEOUT)
        except TimeoutError:
            logger.error('the link to the robot did not close in time; dropped')

    def _join(self, loop: EventLoopThread) -> None:
        try:
            loop.stop(JOIN_TIMEOUT)
        except TimeoutError as error:
            logger.error('the connection did not end in time: %s', error)

    def _on_stamped_cmd_vel(self, message: TwistStamped) -> None:
        """Drop what is too old to act on; a stamp of zero says nothing of the age."""
        limit = self._config.command_timeout
        found = age(message.header.stamp, self.get_clock().now().nanoseconds)
        if found > limit:
            self._complaints.warn(
                'cmd_vel dropped: expected one at most %g s old, got one of %.3g s', limit, found
            )
            return
        self._on_cmd_vel(message.twist)

    def _on_cmd_vel(self, twist: Twist) -> None:
        session, loop = self._session, self._loop
        if session is None or loop is None:
            return
        try:
            velocity = to_velocity(twist)
        except InvalidCommand as error:
            self._complaints.warn('cmd_vel dropped: %s', error)
            return
        loop.post(session.command, velocity)

    def _on_sample(self, source: str, sample: Any) -> None:
        """Publish what a sample is good for; called on the loop's thread."""
        assert self._conversion is not None
        stamp = self._stamps.next(source)
        self._conversion.note(source, sample, stamp)
        for row, publisher in self._publishers_of.get(source, ()):
            if row.costly and not publisher.get_subscription_count():
                continue
            message = row.convert(sample, stamp, self._conversion)
            if message is not None:
                publisher.publish(message)

    def _on_response(self, message: Message) -> None:
        if self._robot_services is not None:
            self._robot_services.publish_response(message)

    def _wanted(self) -> frozenset[str]:
        pairs = (pair for pairs in self._publishers_of.values() for pair in pairs)
        return wanted_sources(row for row, each in pairs if each.get_subscription_count())

    def _ask_for_what_is_wanted(self) -> None:
        """Tell the session what is subscribed to, and that the executor lives."""
        session, loop = self._session, self._loop
        if session is not None and loop is not None:
            loop.post(session.note_owner)
            loop.post(session.want, self._wanted())

    def _ask(self, work: Callable[[RobotSession], Any], timeout: float) -> Any:
        """Run work of the session and return its result; raises Go2Error."""
        session, loop = self._session, self._loop
        if session is None or loop is None:
            raise LinkLost('the driver is not active')
        try:
            return loop.run(work(session), timeout + STOP_TIMEOUT)
        except (TimeoutError, CancelledError) as error:
            raise LinkLost(f'expected an answer of the robot: {error or "ended"}') from None

    def _full_name(self) -> str:
        return str(self.get_fully_qualified_name()).lstrip('/')

    def _tell_state(self) -> None:
        """Publish the diagnostics; called by the timer, and on the loop's thread at a change."""
        latest = self._conversion.latest if self._conversion else {}
        self._diagnostics_publisher.publish(
            self._diagnostics.array(
                self._session,
                dict(latest),
                time.monotonic(),
                self.get_clock().now().to_msg(),
                self.shared_memory,
            )
        )

    def _follow_on_link_lost(self) -> None:
        """Deactivate or shut down, as configured; the session has ended already."""
        if self._session is None:
            return
        self._diagnostics.loss = self._session.reason
        if self._config.on_link_lost == 'deactivate':
            self.trigger_deactivate()
        else:
            self.trigger_shutdown()
            self.finished = True

    def _on_crash(self, error: BaseException) -> None:
        self.finished = True
        logger.critical(''.join(traceback.format_exception(error)))

    def _on_new_config(self, config: DriverConfig) -> None:
        session, loop = self._session, self._loop
        if session is not None and loop is not None:
            loop.post(session.reconfigure, config)
        self._config = config
        if self._conversion is not None:
            self._conversion = dataclasses.replace(self._conversion, config=config)


def share_directory() -> Path:
    """Return where the package's files are installed, or the checkout it runs from."""
    try:
        return Path(get_package_share_directory('go2_webrtc_driver'))
    except (PackageNotFoundError, OSError):  # not installed, or no ament environment
        checkout = Path(__file__).resolve().parents[2]
        if not (checkout / 'config').is_dir():
            raise ConfigError(f'expected the config files in {checkout}, found none') from None
        return checkout
