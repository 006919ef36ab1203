"""What exists from configure to cleanup, and serves the robot from activate to deactivate."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from ..complaints import Complaints
from ..config import DriverConfig
from ..errors import InvalidCommand, LinkLost
from ..link.link import open_link
from ..protocol.decoders import Sample
from ..protocol.messages import Message
from ..protocol.motion import MOTIONS
from ..session.lasting import Status
from ..session.session import RobotSession
from ..signaling.methods import SignalingFactory
from ..velocity import STOP, Velocity
from .ages import Ages, clocks
from .calibration import Calibration
from .conversions import to_velocity
from .event_loop_thread import EventLoopThread
from .mounts import publish_mounts
from .publications import ALWAYS, PUBLICATIONS, Context, Publication, publisher_qos, wanted_sources
from .services import Services
from .stamps import Stamps
from .stamps import age as age_of

logger = logging.getLogger(__name__)

ACTIVATE_TIMEOUT = 10.0  # s, beyond connect_timeout: a bound that only a bug reaches
STOP_TIMEOUT = 4.5  # s, to stop the robot and close the link
JOIN_TIMEOUT = 1.0  # s, for the loop's thread to end

# rclpy of Humble does not tell callbacks when a message was published. There a velocity comes
# with best effort: what was lost in an outage is not sent again when it is old.
HAS_INFO = hasattr(Subscription, 'CallbackType')
RELIABILITY = ReliabilityPolicy.RELIABLE if HAS_INFO else ReliabilityPolicy.BEST_EFFORT


class Setup:
    """
    The publishers, the subscription, the services and the loop of a configured node.

    Made and destroyed on the executor's thread. What begins with ``_on_loop`` and the methods
    of ``session.owner.Owner`` run on the loop's, which alone knows the session.
    """

    def __init__(
        self,
        node: Any,
        config: DriverConfig,
        calibrations: Sequence[Calibration],
        signaling: SignalingFactory,
        tell: Callable[[Status | None], None],
        lost: Callable[[str], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        """
        Make everything but traffic to the robot.

        Args:
            node: the rclpy node.
            config: its parameters.
            calibrations: of the camera, each for a size of its pictures.
            signaling: makes the way to the robot for one attempt.
            tell: called on the loop's thread with each status; None: not active any more.
            lost: called there when a lost link is not to be opened again, with the reason.
            crashed: called there with a bug that must end the process.
        """
        self._node = node
        self._config = config
        self._context = Context(config, calibrations)
        self._signaling = signaling
        self._tell = tell
        self._lost = lost
        self._crashed = crashed
        self._complaints = Complaints(logger)
        self._stamps = Stamps(lambda: node.get_clock().now().nanoseconds)
        self._ages = Ages()
        self._session: RobotSession | None = None
        self._is_ending = False
        self._wanted = ALWAYS
        self._loop = EventLoopThread('go2', crashed)
        self._publishers = [(row, self._create_publisher(row)) for row in PUBLICATIONS]
        self._mounts = publish_mounts(node, config)
        self._subscription = self._subscribe()
        self._services = Services(node, config, self.submit)

    def _create_publisher(self, row: Publication) -> Any:
        return self._node.create_lifecycle_publisher(
            row.message_type,
            row.topic,
            publisher_qos(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _subscribe(self) -> Any:
        stamped = self._config.cmd_vel_type == 'twist_stamped'
        return self._node.create_subscription(
            TwistStamped if stamped else Twist,
            'cmd_vel',
            self._on_cmd_vel if HAS_INFO else self._on_cmd_vel_without_info,
            QoSProfile(depth=1, reliability=RELIABILITY),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def activate(self) -> None:
        """Connect to the robot, or begin to try; raises LinkError."""
        self._set_publishers('on_activate')
        limit = self._config.connect_timeout + ACTIVATE_TIMEOUT
        try:
            self._loop.run(self._on_loop_begin(), limit)
        except TimeoutError as error:
            self.deactivate()
            raise LinkLost(f'expected a link to the robot: {error}') from None
        except BaseException:
            self.deactivate()
            raise

    def deactivate(self) -> None:
        """Stop the robot and free its client slot; safe to repeat."""
        self._end_session(self._on_loop_end())
        self._set_publishers('on_deactivate')
        self._tell(None)

    def stop(self) -> None:
        """Stop the robot, end an activation that waits for it, and let no other one begin."""
        self._end_session(self._on_loop_end(for_good=True))

    def _end_session(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run(work, STOP_TIMEOUT)
        except TimeoutError:
            logger.error('the link to the robot did not close in time; dropped')

    def end_loop(self) -> bool:
        """Stop the robot and join the loop's thread; return whether it has ended."""
        self.stop()
        try:
            self._loop.stop(JOIN_TIMEOUT)
        except TimeoutError as error:
            logger.error('the connection did not end in time: %s', error)
            return False
        return True

    def destroy(self) -> None:
        """Destroy what was made of the node; the loop has ended: it publishes no more."""
        for _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        if self._mounts is not None:
            self._node.destroy_publisher(self._mounts)
        self._node.destroy_subscription(self._subscription)
        self._services.destroy()

    def _set_publishers(self, transition_name: str) -> None:
        for _, publisher in self._publishers:
            getattr(publisher, transition_name)(None)

    def reconfigure(self, config: DriverConfig) -> None:
        """Take a new configuration."""
        self._loop.post(self._on_loop_reconfigure, config)

    def look_for_subscribers(self) -> None:
        """Ask for what is subscribed to; also the session's sign that the executor lives."""
        pairs = self._publishers
        wanted = wanted_sources(row for row, each in pairs if each.get_subscription_count())
        self._loop.post(self._on_loop_want, wanted)

    def trouble_of_cmd_vel(self) -> str:
        """Return why what is published on ``cmd_vel`` does not match, or nothing."""
        ours = self._subscription.msg_type.__name__
        topic = self._subscription.topic_name
        others = self._node.get_publishers_info_by_topic(topic)
        kinds = {each.topic_type.rpartition('/')[2] for each in others} - {ours}
        if not kinds:
            return ''
        return (
            f'{topic}: expected {ours}, but {", ".join(sorted(kinds))} is published there '
            'and ignored; set cmd_vel_type'
        )

    def submit(self, work: Callable[[RobotSession], Coroutine[Any, Any, Any]]) -> Future[Any]:
        """Run work of the session; never blocks. The future may end in a Go2Error."""
        try:
            return self._loop.submit(self._on_loop_do(work))
        except TimeoutError:  # it comes during a cleanup
            ended: Future[Any] = Future()
            ended.set_exception(LinkLost('the driver is not configured'))
            return ended

    def _on_cmd_vel(self, message: Twist | TwistStamped, info: Mapping[str, Any]) -> None:
        """Take a velocity, as old as DDS and its stamp say; a stop of any age is obeyed."""
        age = self._ages.age(info, clocks())
        self._command(message, age)

    def _on_cmd_vel_without_info(self, message: Twist | TwistStamped) -> None:
        self._command(message, 0.0)

    def _command(self, message: Twist | TwistStamped, age: float) -> None:
        try:
            if isinstance(message, TwistStamped):
                age = max(age, self._age_of_stamp(message))
                message = message.twist
            velocity = to_velocity(message)
        except InvalidCommand as error:
            self._complaints.warn('cmd_vel dropped: %s', error)
            return
        self._loop.post(self._on_loop_command, velocity, age)

    def _age_of_stamp(self, message: TwistStamped) -> float:
        """Return the age of a stamp [s]; 0 if it is not set; refuse one of the far future."""
        found = age_of(message.header.stamp, self._node.get_clock().now().nanoseconds)
        if -found > self._config.command_timeout and to_velocity(message.twist) != STOP:
            raise InvalidCommand(f'expected a stamp of now, got one {-found:.3g} s in the future')
        return max(0.0, found)

    async def _on_loop_begin(self) -> None:
        if self._is_ending:
            raise LinkLost('the process ends')
        motion = MOTIONS[self._config.motion_interface]
        timeout = self._config.connect_timeout
        self._session = RobotSession(
            self._config,
            self,
            open_link=lambda is_news: open_link(self._signaling(), timeout, motion, is_news),
            wait_for_return=lambda: self._signaling().wait_for_return(),
            sources=self._wanted,
        )
        await self._session.start()

    async def _on_loop_end(self, for_good: bool = False) -> None:
        self._is_ending = self._is_ending or for_good
        if (session := self._session) is not None:
            await session.stop()  # whoever comes second waits for the same end
            self._session = None

    async def _on_loop_do(self, work: Callable[[RobotSession], Coroutine[Any, Any, Any]]) -> Any:
        if self._session is None:
            raise LinkLost('the driver is not active')
        return await work(self._session)

    def _on_loop_command(self, velocity: Velocity, age: float) -> None:
        if self._session is not None:
            self._session.command(velocity, age)

    def _on_loop_want(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        if self._session is not None:
            self._session.note_owner()
            self._session.want(wanted)

    def _on_loop_reconfigure(self, config: DriverConfig) -> None:
        self._config = config
        self._context = dataclasses.replace(self._context, config=config)
        if self._session is not None:
            self._session.reconfigure(config)

    def on_open(self) -> None:
        """Forget what was heard on an earlier link."""
        self._context = Context(self._config, self._context.calibrations)

    def on_sample(self, sample: Sample) -> None:
        """Publish what a sample is good for."""
        stamp = self._stamps.next(sample.source)
        self._context.note(sample.source, sample.value, stamp)
        for row, publisher in self._publishers:
            if sample.source not in (row.source, *row.also):
                continue
            if row.costly and not publisher.get_subscription_count():
                continue
            message = row.convert(sample.value, stamp, self._context)
            if message is not None:
                publisher.publish(message)

    def on_response(self, message: Message) -> None:
        """Publish what the robot has answered."""
        self._services.publish_response(message)

    def on_status(self, status: Status) -> None:
        """Publish the diagnostics."""
        self._tell(status)

    def on_lost(self, reason: str) -> None:
        """Let the node follow ``on_link_lost``."""
        self._lost(reason)

    def on_crash(self, error: BaseException) -> None:
        """Let the process end."""
        self._crashed(error)
