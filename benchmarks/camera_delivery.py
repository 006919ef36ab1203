"""
How many pictures arrive, and how old: the shipped Fast DDS profile against Fast DDS's defaults.

    python benchmarks/camera_delivery.py [seconds]

Simulated robot, driver, one best-effort and one reliable subscriber, four processes; both
variants in one call, so that the ratios hold on any machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROBOT_IP = '127.0.0.77'
EMPTY = (
    '<?xml version="1.0"?><profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"/>'
)
KINDS = ('best effort', 'reliable')


def subscribe(kind, seconds):
    """Receive pictures for some seconds; print what came as JSON."""
    import numpy as np
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    from go2_webrtc_driver.sim.world import frame_mark

    seen = []

    def on_image(message):
        mark = frame_mark.read(np.asarray(message.data).reshape(message.height, message.width, -1))
        seen.append((mark.frame_number, (time.time_ns() - mark.capture_time_ns) * 1e-6))

    rclpy.init()
    node = rclpy.create_node(kind.replace(' ', '_'))
    reliability = ReliabilityPolicy[kind.replace(' ', '_').upper()]
    qos = QoSProfile(depth=10, reliability=reliability)
    node.create_subscription(Image, 'camera/image_raw', on_image, qos)
    while not seen:
        rclpy.spin_once(node, timeout_sec=0.1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    json.dump(seen, sys.stdout)


def transition(number):
    """Ask the driver for a lifecycle transition."""
    import rclpy
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    node = rclpy.create_node('benchmark')
    client = node.create_client(ChangeState, 'go2_driver/change_state')
    assert client.wait_for_service(20.0)
    future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
    rclpy.spin_until_future_complete(node, future, timeout_sec=20.0)
    assert future.result().success
    node.destroy_node()


def run(variables, seconds):
    """Return what each kind of subscriber saw with a driver in this environment."""
    module = [sys.executable, '-m']
    sim = subprocess.Popen([*module, 'go2_webrtc_driver.sim', '--ip', ROBOT_IP],
                           stdout=subprocess.DEVNULL)  # fmt: skip
    driver = subprocess.Popen(
        [*module, 'go2_webrtc_driver.ros.main', '--ros-args', '-p', f'robot_ip:={ROBOT_IP}',
         '--log-level', 'error'],
        env={**os.environ, **variables},
    )  # fmt: skip
    try:
        transition(1)
        transition(3)
        started = [
            subprocess.Popen([sys.executable, __file__, kind, str(seconds)],
                             stdout=subprocess.PIPE)
            for kind in KINDS
        ]  # fmt: skip
        return {
            kind: json.loads(each.communicate(timeout=seconds + 60)[0])
            for kind, each in zip(KINDS, started, strict=True)
        }
    finally:
        for process in (driver, sim):
            process.terminate()
            process.wait(10)


def report(name, seen):
    """Print a line for each kind; return the share of frames that arrived."""
    shares = {}
    for kind, frames in seen.items():
        numbers = [number for number, _ in frames]
        delays = sorted(delay for _, delay in frames)
        shares[kind] = len(numbers) / (numbers[-1] - numbers[0] + 1)
        print(
            f'{name:<18} {kind:<12} {len(numbers):>5} of {numbers[-1] - numbers[0] + 1:<5} '
            f'{shares[kind]:6.1%}   median {statistics.median(delays):4.0f} ms   '
            f'p99 {delays[int(len(delays) * 0.99)]:4.0f} ms'
        )
    return shares


def main():
    """Run both variants and print their ratio."""
    import rclpy

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    rclpy.init()
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / 'defaults.xml'
        empty.write_text(EMPTY)
        defaults = {'FASTRTPS_DEFAULT_PROFILES_FILE': str(empty)}
        baseline = report('Fast DDS defaults', run(defaults, seconds))
    shipped = report('shipped profile', run({}, seconds))
    for kind in KINDS:
        print(f'{kind}: {shipped[kind] / baseline[kind]:.2f} x the share of the defaults')


if __name__ == '__main__':
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '93')
    if sys.argv[1:2] and sys.argv[1] in KINDS:
        subscribe(sys.argv[1], float(sys.argv[2]))
    else:
        main()
