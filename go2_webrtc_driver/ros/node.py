"""The lifecycle node: transitions and wiring."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from geometry_msgs.msg import Twist
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from ..config import DriverConfig
from ..connection.credentials import load_credentials
from ..connection.link import open_link
from ..connection.methods import SignalingFactory, signaling_factory
from ..connection.session import RobotSession, velocity_limit
from ..errors import ConfigError, Go2Error, InvalidCommand
from ..protocol.decoders import DECODERS
from . import log_bridge
from .calibration import load_calibration
from .conversions import to_velocity
from .event_loop_thread import EventLoopThread
from .parameters import Parameters
from .publications import PUBLICATIONS, SOURCES, Context, Publication, publisher_qos

NODE_NAME = 'go2_driver'
STOP_TIMEOUT = 4.0  # s, to stop the robot and close the link
JOIN_TIMEOUT = 1.0  # s, for the loop's thread to end
WARNING_PERIOD = 10.0  # s, between two warnings about the same kind of bad Twist

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
            self.get_logger().error(f'{work.__name__.removeprefix("on_")} failed: {error}')
            return FAILURE
        except Exception:  # noqa: BLE001 - a thread border: nothing above us looks
            self.get_logger().fatal(traceback.format_exc())
            return ERROR
        return SUCCESS

    return callback


class Go2Driver(LifecycleNode):  # type: ignore[misc]
    """
    A Go2 as a ROS 2 lifecycle node; docs/architecture.md draws its transitions.

    Attributes:
        crashed: whether the session ended with a bug; the process should exit.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters; ``kwargs`` are those of ``rclpy.node.Node``."""
        super().__init__(NODE_NAME, **kwargs)
        self.crashed = False
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
        self._subscription: Any = None
        self._twist_group = MutuallyExclusiveCallbackGroup()

    @transition
    def on_configure(self) -> None:
        """Read the parameters and make everything but traffic to the robot."""
        self._config = self._ros_parameters.read()
        credentials = load_credentials(self._config.credentials_file, os.environ)
        self._signaling = signaling_factory(self._config, credentials)
        self._conversion = Context(self._config, load_calibration(_calibration_file(self._config)))
        for row in PUBLICATIONS:
            publisher = self.create_lifecycle_publisher(
                row.message_type,
                row.topic,
                publisher_qos(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            self._publishers_of.setdefault(row.source, []).append((row, publisher))
        self._subscription = self.create_subscription(
            Twist,
            'cmd_vel',
            self._on_cmd_vel,
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
            callback_group=self._twist_group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._loop = EventLoopThread('go2')

    @transition
    def on_activate(self) -> None:
        """Connect to the robot, or begin to try."""
        assert self._loop is not None
        assert self._conversion is not None
        assert self._signaling is not None
        signaling = self._signaling
        self._set_publishers('on_activate')
        self._session = RobotSession(
            self._config,
            DECODERS,
            SOURCES,
            lambda: open_link(signaling(), self._config.connect_timeout),
            self._conversion.latest.clear,
            self._on_sample,
            self._on_crash,
        )
        try:
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

    def close(self) -> None:
        """Stop the robot, join the loop, destroy what configure made; safe to repeat."""
        self._end_session()
        loop, self._loop = self._loop, None
        if loop is not None:
            self._join(loop)
        for _, publisher in (pair for pairs in self._publishers_of.values() for pair in pairs):
            self.destroy_lifecycle_publisher(publisher)
        self._publishers_of.clear()
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None

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
            self.get_logger().warning(f'transition {transition_id} refused: {error}')
            return FAILURE

    def _set_publishers(self, transition_name: str) -> None:
        for _, publisher in (pair for pairs in self._publishers_of.values() for pair in pairs):
            getattr(publisher, transition_name)(None)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None or self._loop is None:
            return
        try:
            self._loop.run(session.stop(), STOP_TIMEOUT)
        except TimeoutError:
            self.get_logger().error('the link to the robot did not close in time; dropped')

    def _join(self, loop: EventLoopThread) -> None:
        try:
            loop.stop(JOIN_TIMEOUT)
        except TimeoutError as error:
            self.get_logger().error(f'the connection did not end in time: {error}')

    def _on_cmd_vel(self, twist: Twist) -> None:
        session, loop = self._session, self._loop
        if session is None or loop is None:
            return
        try:
            velocity = to_velocity(twist)
        except InvalidCommand as error:
            self.get_logger().warning(
                f'cmd_vel dropped: {error}', throttle_duration_sec=WARNING_PERIOD
            )
            return
        loop.post(session.command, velocity)

    def _on_sample(self, source: str, sample: Any) -> None:
        """Publish what a sample is good for; called on the loop's thread."""
        assert self._conversion is not None
        self._conversion.latest[source] = sample
        stamp = self.get_clock().now().to_msg()
        for row, publisher in self._publishers_of.get(source, ()):
            if row.costly and not publisher.get_subscription_count():
                continue
            message = row.convert(sample, stamp, self._conversion)
            if message is not None:
                publisher.publish(message)

    def _on_crash(self, error: BaseException) -> None:
        self.crashed = True
        self.get_logger().fatal(''.join(traceback.format_exception(error)))

    def _on_new_config(self, config: DriverConfig) -> None:
        session, loop = self._session, self._loop
        if session is not None and loop is not None:
            loop.post(setattr, session.gate, 'limit', velocity_limit(config))
        self._config = config


def _calibration_file(config: DriverConfig) -> Path:
    if config.camera_info_file:
        return Path(config.camera_info_file)
    return share_directory() / 'config' / 'camera_1280x720.yaml'


def share_directory() -> Path:
    """Return where the package's files are installed, or the checkout it runs from."""
    try:
        return Path(get_package_share_directory('go2_webrtc_driver'))
    except (PackageNotFoundError, OSError):  # not installed, or no ament environment
        checkout = Path(__file__).resolve().parents[2]
        if not (checkout / 'config').is_dir():
            raise ConfigError(f'expected the config files in {checkout}, found none') from None
        return checkout
