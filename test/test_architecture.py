"""The dependency direction of the package, as a test."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = 'go2_webrtc_driver'
ROOT = Path(__file__).parent.parent / PACKAGE
LEAVES = {'errors', 'config', 'velocity_gate', 'protocol'}

# layer: (layers it may import, third-party packages it may import)
RULES = {
    'errors': (set(), set()),
    'config': ({'errors'}, set()),
    'velocity_gate': ({'errors'}, set()),
    'protocol': ({'errors'}, {'numpy', 'lz4', 'cryptography'}),
    'connection': (
        LEAVES,
        {
            'aiohttp', 'aioice', 'aiortc', 'av', 'curl_cffi', 'ifaddr', 'numpy',
            'unitree_webrtc_connect', 'yaml',
        },
    ),
    'ros': (
        LEAVES | {'connection'},
        {
            'cv2', 'numpy', 'yaml', 'rclpy', 'rcl_interfaces', 'lifecycle_msgs',
            'builtin_interfaces',
            'std_msgs', 'std_srvs', 'geometry_msgs', 'sensor_msgs', 'nav_msgs',
            'diagnostic_msgs', 'ament_index_python', 'cv_bridge', 'tf2_msgs',
        },
    ),
    'check_aiortc': ({'errors', 'connection'}, {'aiortc'}),
    'sim': (
        {'errors', 'protocol'},
        {'aiohttp', 'aioice', 'aiortc', 'av', 'cryptography', 'cv2', 'numpy'},
    ),
}  # fmt: skip
PURE = LEAVES
IMPURE_STDLIB = {'asyncio', 'threading', 'socket', 'time', 'os', 'subprocess', 'logging'}
DOORS = {
    'unitree_webrtc_connect': {'connection/link.py'},
    'threading': {'ros/event_loop_thread.py', 'connection/aiortc_patch.py'},
}

FILES = sorted(p for p in ROOT.rglob('*.py') if p.relative_to(ROOT).parts != ('__init__.py',))


def imports(path):
    """Yield (layer, None) for imports of this package, (None, package) for others."""
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
            yield (rest.partition('.')[0], None) if first == PACKAGE else (None, first)


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    where = path.relative_to(ROOT).as_posix()
    layer = where.partition('/')[0].removesuffix('.py')
    layers, packages = RULES[layer]
    for inner, outer in imports(path):
        if inner is not None:
            assert inner in layers | {layer}, f'{where} imports {inner}'
        elif outer in DOORS:
            assert where in DOORS[outer], f'{outer} belongs in {DOORS[outer]}'
        elif outer in sys.stdlib_module_names | {'__future__'}:
            assert layer not in PURE or outer not in IMPURE_STDLIB, f'{where} imports {outer}'
        else:
            assert outer in packages, f'{where} imports {outer}'
