"""
The whole idea, live: a simulated Go2, the driver, and what another node sees of them.

Starts both as processes of their own, takes the node to active, walks the robot around a
square with Twist messages, switches its light at the corners, and shows every topic of the
driver until Ctrl-C or for ``DEMO_SECONDS``, in 80 x 24 characters. Leaves one received picture
in ``demo_output/camera.png``.
"""

from __future__ import annotations

import math
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault('ROS_DOMAIN_ID', str(random.randrange(1, 100)))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Quaternion, Twist
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from sensor_msgs.msg import (
    BatteryState,
    CameraInfo,
    CompressedImage,
    Image,
    Imu,
    JointState,
    LaserScan,
    PointCloud2,
)
from std_msgs.msg import Float32MultiArray
from std_srvs.srv import SetBool

from go2_webrtc_driver.sim.world import frame_mark

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on PyPI; the driver publishes no /tf then
    TFMessage = None

ROBOT_IP = '127.0.0.1'
OUTPUT = Path('demo_output')
CORNERS = ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))  # m, in odom
SPEED, TURN_RATE = 0.4, 0.9  # m/s, rad/s
ARRIVED, ALIGNED = 0.03, 0.03  # m, rad
WINDOW = 4.0  # s, over which rates are measured: four messages of the slowest topics
WIDTH = 80  # characters
TITLE = 'Unitree Go2 over WebRTC (simulated robot)'
AHEAD = math.radians(5.0)  # rad, to both sides of straight ahead
ONCE = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LEVELS = {
    DiagnosticStatus.OK: 'OK', DiagnosticStatus.WARN: 'WARN',
    DiagnosticStatus.ERROR: 'ERROR', DiagnosticStatus.STALE: 'STALE',
}  # fmt: skip


def yaw_of(orientation: Quaternion) -> float:
    """Return the yaw of a level body [rad]."""
    return 2.0 * math.atan2(orientation.z, orientation.w)


def tell_odometry(message: Odometry) -> str:
    """Return where the robot is."""
    at, yaw = message.pose.pose.position, yaw_of(message.pose.pose.orientation)
    return f'x {at.x:+.2f} y {at.y:+.2f} m {math.degrees(math.remainder(yaw, math.tau)):+.0f}°'


def tell_joints(message: JointState) -> str:
    """Return the angle of one joint."""
    name = 'FR_thigh_joint'
    return f'{name} {message.position[message.name.index(name)]:+.2f} rad'


def tell_feet(message: Float32MultiArray) -> str:
    """Return what each foot feels; it has no unit."""
    names = message.layout.dim[0].label.split()
    return ' '.join(f'{name} {force:.0f}' for name, force in zip(names, message.data, strict=True))


def tell_scan(message: LaserScan) -> str:
    """Return how far away the nearest thing ahead is."""
    middle = round(-message.angle_min / message.angle_increment)
    side = round(AHEAD / message.angle_increment)
    nearest = min(message.ranges[middle - side : middle + side + 1])
    if math.isinf(nearest):
        return f'ahead free for {message.range_max:.1f} m'
    return f'something {nearest:.2f} m ahead'


def tell_diagnostics(message: DiagnosticArray) -> str:
    """Return the worst status, the last one of several."""
    worst = max(reversed(message.status), key=lambda status: status.level)
    return f'{LEVELS[worst.level]}: {worst.message}'


def tell_transform(message: Any) -> str:
    """Return which frames the first transform connects."""
    first = message.transforms[0]
    return f'{first.header.frame_id} -> {first.child_frame_id}'


def tell_transforms(message: Any) -> str:
    """Return how many frames are fixed, and on which one."""
    return f'{len(message.transforms)} frames on {message.transforms[0].header.frame_id}'


@dataclass(frozen=True)
class Row:
    """
    One topic of the driver.

    Attributes:
        topic: its name.
        message_type: ROS message class.
        tell: returns what is worth to know of a message.
        late: age at which a message is missed [s].
        qos: of the subscription.
    """

    topic: str
    message_type: type
    tell: Callable[[Any], str]
    late: float = 0.5
    qos: QoSProfile = field(default_factory=lambda: qos_profile_sensor_data)


ROWS = (
    Row('camera/image_raw', Image, lambda m: f'{m.width}x{m.height} {m.encoding}'),
    Row('camera/image_raw/compressed', CompressedImage, lambda m: f'{len(m.data) / 1e3:.0f} kB'),
    Row('camera/camera_info', CameraInfo, lambda m: f'fx {m.k[0]:.0f} px, fy {m.k[4]:.0f} px'),
    Row('odom', Odometry, tell_odometry),
    *((Row('/tf', TFMessage, tell_transform),) if TFMessage else ()),
    *((Row('/tf_static', TFMessage, tell_transforms, math.inf, ONCE),) if TFMessage else ()),
    Row('imu/data', Imu, lambda m: f'yaw rate {m.angular_velocity.z:+.2f} rad/s'),
    Row('points', PointCloud2, lambda m: f'{m.width * m.height} points'),
    Row('scan', LaserScan, tell_scan),
    Row('joint_states', JointState, tell_joints, 2.5),
    Row(
        'battery_state', BatteryState,
        lambda m: f'{m.percentage:.0%}, {m.voltage:.1f} V, {m.current:+.1f} A', 2.5,
    ),
    Row('foot_force', Float32MultiArray, tell_feet, 2.5),
    Row('/diagnostics', DiagnosticArray, tell_diagnostics, 2.5),
)  # fmt: skip


@dataclass
class Stream:
    """What has come on one topic."""

    count: int = 0
    latest: Any = None
    times: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def note(self, message: Any) -> None:
        """Note a message."""
        self.count += 1
        self.latest = message
        self.times.append(time.monotonic())

    @property
    def rate(self) -> float:
        """Messages per second of late."""
        now = time.monotonic()
        recent = [at for at in self.times if now - at < WINDOW]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 2 else 0.0

    @property
    def age(self) -> float:
        """Time since the last message [s]."""
        return time.monotonic() - self.times[-1] if self.times else math.inf


class SquareWalk:
    """Walks from corner to corner by the odometry: turn, then go."""

    def __init__(self) -> None:
        self.rounds = 0
        self.corner = 0
        self.closing_error = math.nan

    def command(self, x: float, y: float, yaw: float) -> Twist:
        """Return the next Twist for a robot at (x, y) [m] that looks along ``yaw`` [rad]."""
        goal = CORNERS[self.corner]
        along = math.atan2(goal[1] - y, goal[0] - x)
        distance = math.dist((x, y), goal)
        if distance < ARRIVED:
            self._advance(x, y)
            return Twist()
        error = math.remainder(along - yaw, math.tau)
        twist = Twist()
        twist.angular.z = max(-TURN_RATE, min(TURN_RATE, 2.5 * error))
        if abs(error) < (ALIGNED if distance > 0.8 else 0.6):
            twist.linear.x = min(SPEED, 1.5 * distance)
        elif abs(error) < 0.3 and distance < 0.95:
            twist.linear.x = min(SPEED, 1.5 * distance) * 0.5
        return twist

    def _advance(self, x: float, y: float) -> None:
        self.corner = (self.corner + 1) % len(CORNERS)
        if self.corner == 0:
            self.rounds += 1
            self.closing_error = math.hypot(x, y)


class Watcher(Node):
    """An ordinary ROS node that uses the driver, and knows nothing of how it works."""

    def __init__(self) -> None:
        """Subscribe, and prepare to drive."""
        super().__init__('demo')
        self.spinner = SingleThreadedExecutor()
        self.spinner.add_node(self)
        self.streams = {row.topic: Stream() for row in ROWS}
        self.walk = SquareWalk()
        self.numbers: list[int] = []
        self.delays: deque[float] = deque(maxlen=3000)
        self.picture: Image | None = None
        self.state = 'starting'
        self.light = 'not asked yet'
        self.answers: list[bool] = []
        self.driving = False
        for row in ROWS:
            take = partial(self._take, row.topic)
            self.create_subscription(row.message_type, row.topic, take, row.qos)
        self._cmd_vel = self.create_publisher(Twist, 'cmd_vel', 10)
        self._change_state = self.create_client(ChangeState, 'go2_driver/change_state')
        self._get_state = self.create_client(GetState, 'go2_driver/get_state')
        self._light = self.create_client(SetBool, 'go2_driver/light')
        self.create_timer(0.05, self._drive)
        self.create_timer(1.0, self._ask_state)

    def change_state(self, transition: int, timeout: float) -> bool:
        """Ask the driver for a lifecycle transition; return whether it succeeded."""
        if not self._change_state.wait_for_service(timeout):
            return False
        request = ChangeState.Request(transition=Transition(id=transition))
        future = self._change_state.call_async(request)
        self.spinner.spin_until_future_complete(future, timeout)
        return bool(future.done() and future.result().success)

    def lost_frames(self) -> tuple[int, int]:
        """Return how many frames between the first and the last are missing, and of how many."""
        if not self.numbers:
            return 0, 0
        span = self.numbers[-1] - self.numbers[0] + 1
        return span - len(self.numbers), span

    def _take(self, topic: str, message: Any) -> None:
        self.streams[topic].note(message)
        if topic == 'camera/image_raw':
            self._on_image(message)

    def _on_image(self, message: Image) -> None:
        if self.picture is None and self.streams['camera/image_raw'].count == 15:
            self.picture = message
        mark = frame_mark.read(pixels(message))
        if mark is not None:
            self.numbers.append(mark.frame_number)
            self.delays.append((time.time_ns() - mark.capture_time_ns) * 1e-9)

    def _drive(self) -> None:
        odometry = self.streams['odom'].latest
        if not self.driving or odometry is None:
            return
        pose, corner = odometry.pose.pose, self.walk.corner
        x, y, yaw = pose.position.x, pose.position.y, yaw_of(pose.orientation)
        self._cmd_vel.publish(self.walk.command(x, y, yaw))
        if self.walk.corner != corner:
            self._switch_light(self.walk.corner % 2 == 1)

    def _switch_light(self, on: bool) -> None:
        future = self._light.call_async(SetBool.Request(data=on))
        future.add_done_callback(partial(self._on_light, on, time.monotonic()))

    def _on_light(self, on: bool, asked_at: float, future: rclpy.Future) -> None:
        answer, took = future.result(), time.monotonic() - asked_at
        self.answers.append(answer.success)
        success = 'success' if answer.success else 'failure'
        self.light = f'{"on" if on else "off"}: {success}, {answer.message} ({took * 1000:.0f} ms)'

    def _ask_state(self) -> None:
        if self._get_state.service_is_ready():
            self._get_state.call_async(GetState.Request()).add_done_callback(self._on_state)

    def _on_state(self, future: rclpy.Future) -> None:
        self.state = future.result().current_state.label


def pixels(message: Image) -> np.ndarray:
    """Return an Image's pixels, shape (height, width, 3)."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)


def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start one of the package's executables, its output in ``demo_output``."""
    prefix = Path(get_package_prefix('go2_webrtc_driver'))
    log = (OUTPUT / f'{name}.log').open('wb')
    command = [str(prefix / 'lib' / 'go2_webrtc_driver' / name), *arguments]
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> int:
    """Interrupt a process and return its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(8.0)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def view(watcher: Watcher, started: float) -> Group:
    """Return the live table."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        width=WIDTH,
        header_style='bold',
    )
    table.add_column('topic', width=29, no_wrap=True)
    for name, width in (('Hz', 5), (escape('age [s]'), 7), ('count', 6)):
        table.add_column(name, width=width, justify='right')
    table.add_column('of the newest message', no_wrap=True, overflow='ellipsis')
    for row in ROWS:
        stream = watcher.streams[row.topic]
        style = 'green' if stream.age < row.late else 'red'
        table.add_row(
            f'[{style}]●[/] {row.topic}',
            f'{stream.rate:.1f}',
            f'{stream.age:.2f}' if stream.count else '-',
            str(stream.count),
            escape(row.tell(stream.latest)) if stream.count else '-',
        )
    return Group(
        Panel(headline(watcher, started), title=TITLE, width=WIDTH, padding=(0, 1)), table
    )


def headline(watcher: Watcher, started: float) -> str:
    """Return what is not the matter of one topic."""
    lost, span = watcher.lost_frames()
    delay = statistics.median(watcher.delays) * 1000 if watcher.delays else math.nan
    color = 'green' if watcher.state == 'active' else 'yellow'
    walk = watcher.walk
    closed = '' if math.isnan(walk.closing_error) else f', closed to {walk.closing_error:.3f} m'
    return (
        f'driver   [{color}]{watcher.state}[/]   {time.monotonic() - started:.0f} s\n'
        f'cmd_vel  to corner {walk.corner + 1} of 4 of a square, {walk.rounds} done{closed}\n'
        f'pictures median delay {delay:.0f} ms, {lost} of {span} frames lost\n'
        f'~/light  {escape(watcher.light)}'
    )


def summary(watcher: Watcher, seconds: float) -> str:
    """Return the last words: rates, losses, delay, the square."""
    lost, span = watcher.lost_frames()
    delays = sorted(watcher.delays) or [math.nan]
    images, odometry = (
        watcher.streams[topic].count / seconds for topic in ('camera/image_raw', 'odom')
    )
    walk = watcher.walk
    square = (
        f'{walk.rounds} done, closed to {walk.closing_error:.3f} m'
        if walk.rounds
        else f'not finished, on the way to corner {walk.corner + 1} of 4'
    )
    return (
        f'over {seconds:.0f} s: pictures {images:.1f} Hz, odometry {odometry:.1f} Hz\n'
        f'frames lost: {lost} of {span}\n'
        f'delay from capture to subscriber: median {delays[len(delays) // 2] * 1000:.0f} ms, '
        f'95th percentile {delays[int(len(delays) * 0.95)] * 1000:.0f} ms\n'
        f'square: {square}\n'
        f'~/light: {sum(watcher.answers)} of {len(watcher.answers)} answers were a success'
    )


def watch(watcher: Watcher, console: Console, seconds: float, alive: list) -> float:
    """Show the table until time is up, Ctrl-C, or a process has ended; return the time [s]."""
    started = time.monotonic()
    next_line = 5.0
    with Live(view(watcher, started), console=console, auto_refresh=False) as live:
        shown = 0.0
        while (passed := time.monotonic() - started) < seconds and not STOPPED:
            watcher.spinner.spin_once(0.05)
            if passed - shown > 0.25:
                shown = passed
                live.update(view(watcher, started), refresh=console.is_terminal)
            if not console.is_terminal and passed > next_line:
                next_line += 5.0
                console.print(view(watcher, started))
            if any(process.poll() is not None for process in alive):
                console.print('[red]a process has ended by itself; see demo_output/*.log')
                break
    return time.monotonic() - started


STOPPED: list[int] = []


def main() -> int:
    """Run the demo; return 0 if pictures and motion were there."""
    OUTPUT.mkdir(exist_ok=True)
    console = Console()
    seconds = float(os.environ.get('DEMO_SECONDS') or math.inf)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: STOPPED.append(number))
    processes = [
        start('sim_robot', '--ip', ROBOT_IP),
        start('driver', '--ros-args', '-p', f'robot_ip:={ROBOT_IP}'),
    ]
    watcher = Watcher()
    try:
        console.print('starting the simulated robot and the driver ...')
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            if not watcher.change_state(transition, 20.0):
                console.print('[red]the driver did not become active; see demo_output/driver.log')
                return 1
        watcher.driving = True
        passed = watch(watcher, console, seconds, processes)
        watcher.driving = False
        watcher.change_state(Transition.TRANSITION_DEACTIVATE, 6.0)
    except ExternalShutdownException:
        return 1
    finally:
        statuses = [end(process) for process in reversed(processes)]
    return conclude(watcher, console, passed, statuses)


def conclude(watcher: Watcher, console: Console, passed: float, statuses: list[int]) -> int:
    """Save the picture, print the summary, and judge."""
    if not console.is_terminal:
        console.print()
    if watcher.picture is not None:
        cv2.imwrite(str(OUTPUT / 'camera.png'), pixels(watcher.picture))
    console.print(summary(watcher, passed))
    console.print(f'picture: {OUTPUT / "camera.png"}; logs: {OUTPUT}/*.log')
    if silent := [topic for topic, stream in watcher.streams.items() if not stream.count]:
        console.print(f'[red]nothing came on {", ".join(silent)}')
    images = watcher.streams['camera/image_raw'].count
    good = images / passed > 25.0 and watcher.walk.corner + watcher.walk.rounds > 0
    good = good and not silent and watcher.answers != [] and all(watcher.answers)
    if statuses != [0, 0]:
        console.print(
            f'[red]driver and robot should end with status 0, they ended with {statuses}'
        )
    return 0 if good and statuses == [0, 0] else 1


if __name__ == '__main__':
    sys.exit(main())
