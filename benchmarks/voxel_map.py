"""
How long a lidar map takes to decode: ours against both decoders of unitree_webrtc_connect.

    python benchmarks/voxel_map.py [rounds]

The same maps of the simulated lidar for all, in turn and in one call, so that the ratios hold
on any machine. Ours checks the map besides; "libvoxel", the library's default, makes a mesh.
"""

import importlib.util
import statistics
import sys
import time
from pathlib import Path

from builtin_interfaces.msg import Time

from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.state import RobotPose
from go2_webrtc_driver.protocol.topics import MessageType, Topic
from go2_webrtc_driver.protocol.voxel_map import decode_voxel_map, encode_voxels
from go2_webrtc_driver.ros.clouds import to_laser_scan, to_point_cloud
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world import lidar

POSES = (Pose(0.0, 0.0, 0.32, 0.0), Pose(1.0, 1.0, 0.32, 2.0), Pose(-2.9, 2.4, 0.32, 1.0))
FOREIGN = ('native', 'libvoxel')


def foreign_decoder(name):
    """Return a decoder of the library without importing, and so patching, the rest; or None."""
    package = importlib.util.find_spec('unitree_webrtc_connect')
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / 'lidar' / f'lidar_decoder_{name}.py'
    spec = importlib.util.spec_from_file_location(f'foreign_{name}', path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        print(f'{name} does not load: {error}')
        return None
    return module.LidarDecoder().decode


def measure(calls, rounds):
    """Return each call's median time over all maps [s]; the calls take turns."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for index in range(len(POSES)):
                before = time.perf_counter()
                call(index)
                times[name].append(time.perf_counter() - before)
    return {name: statistics.median(each) for name, each in times.items()}


def build_calls():
    """Return what is measured, by name; each call takes the number of a map."""
    packets = [encode_voxels(*lidar.scan(pose), lidar.RESOLUTION, 1.7e9) for pose in POSES]
    messages = [
        Message(MessageType.MESSAGE, Topic.VOXEL_MAP.value, header, None, payload)
        for header, payload in packets
    ]
    maps = [decode_voxel_map(message) for message in messages]
    poses = [RobotPose(0.0, (at.x, at.y, at.z), at.quaternion) for at in POSES]
    print('points a map:', *[len(each.points) for each in maps])
    calls = {'ours': lambda i: decode_voxel_map(messages[i])}
    for name in FOREIGN:
        decode = foreign_decoder(name)
        if decode is not None:
            calls[name] = lambda i, decode=decode: decode(packets[i][1], packets[i][0])
    calls['PointCloud2'] = lambda i: to_point_cloud(maps[i], Time(), 'odom')
    calls['LaserScan'] = lambda i: to_laser_scan(maps[i], poses[i], Time(), 'base_link')
    return calls


def main():
    """Print the medians, and how many times ours goes into the library's."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    medians = measure(build_calls(), rounds)
    for name, median in medians.items():
        print(f'{name:<12} {median * 1e3:8.3f} ms')
    for name in FOREIGN:
        if name in medians:
            print(f'{name}: {medians[name] / medians["ours"]:.1f} x the time of ours')


if __name__ == '__main__':
    main()
