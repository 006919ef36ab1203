"""
The whole idea, live: a simulated Go2, the driver, and what another node sees of them.

Starts both as processes of their own, takes the node to active, walks the robot around a
square with Twist messages, and shows topics, rates and delays until Ctrl-C or for
``DEMO_SECONDS``. Leaves one received picture in ``demo_output/camera.png``.
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
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault('ROS_DOMAIN_ID', str(random.randrange(1, 100)))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix
from geometry_msgs.msg import Twist
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from sensor_msgs.msg import CameraInfo, Image

from go2_webrtc_driver.sim import frame_mark

ROBOT_IP = '127.0.0.1'
OUTPUT = Path('demo_output')
CORNERS = ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))  # m, in odom
SPEED, TURN_RATE = 0.4, 0.9  # m/s, rad/s
ARRIVED, ALIGNED = 0.03, 0.03  # m, rad
WINDOW = 2.0  # s, over which rates are measured


@dataclass
class Stream:
    """What has come on one topic."""

    count: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def note(self) -> None:
        """Note a message."""
        self.count += 1
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
        self.streams = {
            name: Stream() for name in ('camera/image_raw', 'camera/camera_info', 'odom')
        }
        self.pose: tuple[float, float, float] | None = None
        self.walk = SquareWalk()
        self.numbers: list[int] = []
        self.delays: deque[float] = deque(maxlen=3000)
        self.picture: Image | None = None
        self.state = 'starting'
        self.create_subscription(
            Image, 'camera/image_raw', self._on_image, qos_profile_sensor_data
        )
        self.create_subscription(CameraInfo, 'camera/camera_info', self._on_info, 10)
        self.create_subscription(Odometry, 'odom', self._on_odometry, 10)
        self._cmd_vel = self.create_publisher(Twist, 'cmd_vel', 10)
        self._change_state = self.create_client(ChangeState, 'go2_driver/change_state')
        self._get_state = self.create_client(GetState, 'go2_driver/get_state')
        self.create_timer(0.05, self._drive)
        self.create_timer(1.0, self._ask_state)
        self.driving = False

    def change_state(self, transition: int, timeout: float) -> bool:
        """Ask the driver for a lifecycle transition; return whether it succeeded."""
        if not self._change_state.wait_for_service(timeout):
            return False
        request = ChangeState.Request(transition=Transition(id=transition))
        future = self._change_state.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=timeout)
        return bool(future.done() and future.result().success)

    def lost_frames(self) -> tuple[int, int]:
        """Return how many frames between the first and the last are missing, and of how many."""
        if not self.numbers:
            return 0, 0
        span = self.numbers[-1] - self.numbers[0] + 1
        return span - len(self.numbers), span

    def _on_image(self, message: Image) -> None:
        self.streams['camera/image_raw'].note()
        if self.picture is None and self.streams['camera/image_raw'].count == 15:
            self.picture = message
        mark = frame_mark.read(pixels(message))
        if mark is not None:
            self.numbers.append(mark.frame_number)
            self.delays.append((time.time_ns() - mark.capture_time_ns) * 1e-9)

    def _on_info(self, _: CameraInfo) -> None:
        self.streams['camera/camera_info'].note()

    def _on_odometry(self, message: Odometry) -> None:
        self.streams['odom'].note()
        pose = message.pose.pose
        yaw = 2.0 * math.atan2(pose.orientation.z, pose.orientation.w)
        self.pose = pose.position.x, pose.position.y, yaw

    def _drive(self) -> None:
        if self.driving and self.pose is not None:
            self._cmd_vel.publish(self.walk.command(*self.pose))

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
    table = Table(expand=False, header_style='bold', width=64)
    for name in ('topic', 'rate [Hz]', 'age [ms]', 'messages'):
        table.add_column(name, justify='left' if name == 'topic' else 'right')
    for name, stream in watcher.streams.items():
        style = 'green' if stream.age < 0.5 else 'red'
        age = f'{stream.age * 1000:.0f}' if stream.times else '-'
        table.add_row(f'[{style}]●[/] {name}', f'{stream.rate:.1f}', age, str(stream.count))
    x, y, yaw = watcher.pose or (math.nan,) * 3
    lost, span = watcher.lost_frames()
    delay = statistics.median(watcher.delays) * 1000 if watcher.delays else math.nan
    color = 'green' if watcher.state == 'active' else 'yellow'
    walk = watcher.walk
    closed = '' if math.isnan(walk.closing_error) else f', closed to {walk.closing_error:.3f} m'
    text = (
        f'driver   [{color}]{watcher.state}[/]   {time.monotonic() - started:.0f} s\n'
        f'pose     x {x:+.2f} m   y {y:+.2f} m   yaw {math.degrees(yaw):+.0f} deg\n'
        f'square   to corner {walk.corner + 1} of 4, {walk.rounds} done{closed}\n'
        f'camera   median delay {delay:.0f} ms, {lost} of {span} frames lost'
    )
    return Group(Panel(text, title='Unitree Go2 over WebRTC (simulated robot)', width=64), table)


def summary(watcher: Watcher, seconds: float) -> str:
    """Return the last words: rates, losses, delay, the square."""
    lost, span = watcher.lost_frames()
    delays = sorted(watcher.delays) or [math.nan]
    rates = ', '.join(
        f'{name} {stream.count / seconds:.1f} Hz' for name, stream in watcher.streams.items()
    )
    walk = watcher.walk
    square = (
        f'{walk.rounds} done, closed to {walk.closing_error:.3f} m'
        if walk.rounds
        else f'not finished, on the way to corner {walk.corner + 1} of 4'
    )
    return (
        f'rates over {seconds:.0f} s: {rates}\n'
        f'frames lost: {lost} of {span}\n'
        f'delay from capture to subscriber: median {delays[len(delays) // 2] * 1000:.0f} ms, '
        f'95th percentile {delays[int(len(delays) * 0.95)] * 1000:.0f} ms\n'
        f'square: {square}'
    )


def watch(watcher: Watcher, console: Console, seconds: float, alive: list) -> float:
    """Show the table until time is up, Ctrl-C, or a process has ended; return the time [s]."""
    started = time.monotonic()
    next_line = 5.0
    with Live(view(watcher, started), console=console, auto_refresh=False) as live:
        shown = 0.0
        while (passed := time.monotonic() - started) < seconds and not STOPPED:
            rclpy.spin_once(watcher, timeout_sec=0.05)
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
    if watcher.picture is not None:
        cv2.imwrite(str(OUTPUT / 'camera.png'), pixels(watcher.picture))
    console.print(summary(watcher, passed))
    console.print(f'picture: {OUTPUT / "camera.png"}; logs: {OUTPUT}/*.log')
    images = watcher.streams['camera/image_raw'].count
    good = images / passed > 25.0 and watcher.walk.corner + watcher.walk.rounds > 0
    if statuses != [0, 0]:
        console.print(
            f'[red]driver and robot should end with status 0, they ended with {statuses}'
        )
    return 0 if good and statuses == [0, 0] else 1


if __name__ == '__main__':
    sys.exit(main())
