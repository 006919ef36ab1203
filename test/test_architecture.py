"""The dependency direction of the package, as a test."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = 'go2_webrtc_driver'
ROOT = Path(__file__).parent.parent / PACKAGE
LEAVES = {'errors', 'complaints', 'config', 'files', 'tasks', 'velocity'}
PEER = 'peer'  # the leaf that knows aiortc: for link and the simulated robot
ROBOT = LEAVES | {'protocol'}  # what knows the robot's protocol, and nothing of a network
SIM_ROOT = {'sim.pose', 'sim.options'}
ROS = {
    'rclpy', 'rcl_interfaces', 'lifecycle_msgs', 'builtin_interfaces', 'std_msgs', 'std_srvs',
    'geometry_msgs', 'sensor_msgs', 'nav_msgs', 'diagnostic_msgs', 'ament_index_python',
    'cv_bridge', 'tf2_msgs',
}  # fmt: skip

# room: (rooms it may import, third-party packages it may import)
RULES = {
    'errors': (set(), set()),
    'complaints': (set(), set()),
    'config': ({'errors'}, set()),
    'files': ({'errors'}, set()),
    'velocity': ({'errors'}, set()),
    'tasks': (set(), {'async_timeout'}),
    PEER: (set(), {'aiortc'}),
    'protocol': ({'errors'}, {'numpy', 'lz4', 'cryptography'}),
    'signaling': (ROBOT, {'aiohttp', 'curl_cffi', 'ifaddr', 'yaml'}),
    'link': (
        ROBOT | {PEER, 'signaling.attempt'},
        {'aioice', 'aiortc', 'av', 'unitree_webrtc_connect'},
    ),
    'session': (ROBOT, set()),
    'ros': (ROBOT | {'signaling', 'link', 'session'}, ROS | {'cv2', 'numpy', 'yaml'}),
    'checks': (ROBOT | {'signaling', 'link'}, {'aiortc', 'aioice'}),
    'sim.pose': (set(), set()),
    'sim.body': ({'protocol', 'sim.pose'}, set()),
    'sim.world': ({'protocol', 'sim.pose'}, {'numpy', 'cv2'}),
    'sim.brain': ({'protocol', 'sim.pose', 'sim.body', 'sim.world'}, {'numpy'}),
    'sim.options': ({'protocol', 'sim.body', 'sim.brain'}, set()),
    'sim.wire': (
        {'errors', PEER, 'protocol', 'sim.world', 'sim.brain', *SIM_ROOT},
        {'aiohttp', 'aioice', 'aiortc', 'av', 'cryptography', 'numpy'},
    ),
    'start': ({'ros'}, {'rclpy'}),
    'sim.__main__': ({'protocol', 'sim.brain', 'sim.wire', 'sim.options'}, set()),
}
PURE = LEAVES - {'complaints', 'files', 'tasks'} | {'protocol', 'sim.body', 'sim.pose'}
IMPURE_STDLIB = {'asyncio', 'threading', 'socket', 'time', 'os', 'subprocess', 'logging'}
DOORS = {
    'unitree_webrtc_connect': {'link/channel.py'},
    'threading': {
        'ros/event_loop_thread.py',
        'ros/transitions.py',
        'ros/exit.py',
        'link/aiortc_patch.py',
    },
}

FILES = sorted(p for p in ROOT.rglob('*.py') if p.name != '__init__.py')


def room_of(module):
    """Return the room of a dotted module of the package, such as ``sim.body`` or ``link``."""
    names = module.split('.')
    return '.'.join(names[:2]) if names[0] == 'sim' else names[0]


def imports(path):
    """Yield (module, None) for imports of this package, (None, package) for others."""
    here = (PACKAGE, *path.relative_to(ROOT).with_suffix('').parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(here[: -node.level]) + '.' if node.level else ''
            names = [base + node.module] if node.module else [base + a.name for a in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition('.')
            yield (rest, None) if first == PACKAGE else (None, first)


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    where = path.relative_to(ROOT).as_posix()
    room = room_of('.'.join(path.relative_to(ROOT).with_suffix('').parts))
    rooms, packages = RULES[room]
    for inner, outer in imports(path):
        if inner is not None:
            allowed = inner in rooms or room_of(inner) in rooms | {room}
            assert allowed, f'{where} imports {inner}'
        elif outer in DOORS:
            assert where in DOORS[outer], f'{outer} belongs in {DOORS[outer]}'
        elif outer in sys.stdlib_module_names | {'__future__'}:
            assert room not in PURE or outer not in IMPURE_STDLIB, f'{where} imports {outer}'
        else:
            assert outer in packages, f'{where} imports {outer}'


def test_no_two_rooms_import_each_other():
    edges = {
        (room_of('.'.join(path.relative_to(ROOT).with_suffix('').parts)), room_of(inner))
        for path in FILES
        for inner, _ in imports(path)
        if inner is not None
    }
    assert not {(a, b) for a, b in edges if a != b and (b, a) in edges}
