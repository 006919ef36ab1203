"""
Messages of the robot, one of every kind, and nasty versions of them; for fuzzing.

A robot that lies, or a firmware with other ideas, is meant here: what comes is mostly a
message, with something in it that nobody expected. Needs no ROS.
"""

import json
import struct

import lz4.block
import numpy as np

from go2_webrtc_driver.protocol import messages, state
from go2_webrtc_driver.protocol.messages import build_frame, build_message
from go2_webrtc_driver.protocol.topics import MessageType, Topic
from go2_webrtc_driver.protocol.voxel_map import encode_voxels
from go2_webrtc_driver.sim.brain import reports
from go2_webrtc_driver.sim.brain.robot import Robot
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world import lidar

STAMP = 1.7e9  # s
IDENTITY = 1_777_777_777  # stands for that of the request that waits for an answer
UUID = 'uuid-of-what-is-asked'  # likewise, of a request for the network's status
ORIGIN = (-3.175, -3.175, -0.575)  # m
DEEPEST = 992  # levels, just about what json reads

# Each is put into the text as it stands: json.dumps could not write most of them.
NUMBERS = [
    '0', '-0', '-1', '1', '0.5', '-0.0', '2', '255', '256', '-32769', '1e-400', '1e400', '-1e400',
    '1e308', '-1.7976931348623157e308', '3.4028235e38', '3.5e38', '-1e39', '1e20', '1e9',
    '2147483647', '2147483648', '4294967296', '9223372036854775808', '-9223372036854775809',
    '1' + '0' * 308, '1' * 309, '9' * 4300, '9' * 4301, 'NaN', 'Infinity', '-Infinity',
]  # fmt: skip
NASTY = [
    *NUMBERS,
    'null', 'true', 'false', '""', '"0"', '"NaN"', '"\\u0000"', '"a\\u0000b"', '"\\ud800"',
    '"\\udfff\\ud800"', '"\u2028\U0001f436"', '"%s%d%n{}{0}"', f'"{"x" * 5000}"', '"\x01"',
    '[]', '{}', '[[]]', '[null]', '[{}]', '{"":""}', '{"a":1,"a":2}', '[0,0,0,0]', '[1,2,3]',
    '[1e308,1e308,1e308,1e308]', '[1700000000,600,8]', '[0,4294967296,-1]',
    f'[{",".join("0" * 3000)}]', '{"header":{"status":{"code":0}}}', '"{}"', '"[1]"', '"null"',
    f'"{"[" * 2000}"', '[' * 10 + ']' * 10, '[' * 400 + ']' * 400, '{"a":' * 400 + '0' + '}' * 400,
    '[' * 5000 + ']' * 5000, '[' * 5000,
]  # fmt: skip
_MARK = '-nasty-thing'


def seeds():
    """Return a message of every kind, by name."""
    return {**_topics(), **_voxel_maps(), **_conversation(), **_faults(), **_inner_requests()}


def _topics():
    robot = Robot(0.0)
    contents = {
        Topic.SPORT_MODE_STATE: state.encode_sport_mode_state(robot.sport_mode_state(STAMP)),
        Topic.LOW_STATE: state.encode_low_state(robot.low_state()),
        Topic.ROBOT_POSE: state.encode_robot_pose(robot.robot_pose(STAMP)),
        Topic.MULTIPLE_STATE: state.encode_multiple_state(robot.multiple_state()),
        Topic.SERVICE_STATE: state.encode_service_state(reports.services('mcf')),
        Topic.LIDAR_STATE: state.encode_lidar_state(reports.lidar(True, STAMP)),
    }
    return {
        topic.name.lower(): build_message(MessageType.MESSAGE, topic.value, content)
        for topic, content in contents.items()
    }


def _voxel_maps():
    room, origin = lidar.scan(Pose(z=0.32))
    few = np.zeros((4, 128, 128), np.bool_)
    few[1, 40:44, 60:90] = True
    maps = {'room': (room, origin), 'few': (few, ORIGIN), 'empty': (few & False, ORIGIN)}
    frames = {}
    for name, (voxels, corner) in maps.items():
        header, payload = encode_voxels(voxels, corner, lidar.RESOLUTION, STAMP)
        frames[f'voxel_map_{name}_a'] = build_frame(Topic.VOXEL_MAP.value, header, payload)
        text = build_message(MessageType.MESSAGE, Topic.VOXEL_MAP.value, header)
        frames[f'voxel_map_{name}_b'] = frame_b(text.encode(), payload)
    return frames


def frame_b(header, payload):
    """Return a binary frame of form B."""
    return struct.pack('<HHI4x', 2, 0, len(header)) + header + payload


def _conversation():
    identity = {'id': IDENTITY, 'api_id': 1001}
    answers = {
        'mode': {'header': {'identity': identity, 'status': {'code': 0}},
                 'data': '{"form":"0","name":"mcf"}'},
        'refusal': {'header': {'identity': identity, 'status': {'code': 4101}}, 'data': ''},
        'part': {'header': {'identity': identity, 'status': {'code': 0}}, 'data': 'AAAA',
                 'content_info': {'enable_chunking': True, 'chunk_index': 1,
                                  'total_chunk_num': 3}},
    }  # fmt: skip
    return {
        **{
            f'response_{name}': build_message(
                MessageType.RESPONSE, 'rt/api/motion_switcher/response', answer
            )
            for name, answer in answers.items()
        },
        'validation_key': build_message(MessageType.VALIDATION, data='0' * 32),
        'validation_ok': build_message(MessageType.VALIDATION, data=messages.VALIDATION_OK),
        'validation_part': build_message(MessageType.VALIDATION, data=answers['part']),
        'validation_needed': build_message(
            MessageType.ERROR, None, info=messages.VALIDATION_NEEDED
        ),
        'heartbeat': build_message(
            MessageType.HEARTBEAT, data={'timeInStr': '2026-11-24 12:00:00', 'timeInNum': 1}
        ),
    }


def _faults():
    return {
        'faults': build_message(MessageType.FAULTS, data=[[1_700_000_000, 300, 16]]),
        'no_faults': build_message(MessageType.FAULTS, data=[]),
        'fault_added': build_message(MessageType.FAULT_ADDED, data=[1_700_000_000, 600, 8]),
        'fault_removed': build_message(MessageType.FAULT_REMOVED, data=[1_700_000_000, 600, 8]),
    }


def _inner_requests():
    part = {'enable_chunking': True, 'chunk_index': 1, 'total_chunk_num': 3, 'data': 'AAAA'}
    contents = {
        'network_status': {'req_type': 'public_network_status', 'uuid': UUID,
                           'status': 'NetworkStatus.ON_WIFI_CONNECTED'},
        'no_network': {'req_type': 'public_network_status', 'uuid': UUID,
                       'status': 'Undefined'},
        'probe': {'req_type': 'rtt_probe_send_from_mechine', 'time': 1_700_000_000_000},
        'traffic_saving': {'req_type': 'disable_traffic_saving', 'execution': 'ok'},
        'file_part': {'req_type': 'request_static_file', 'req_uuid': 'req_1', 'file': part},
        'last_file_part': {'req_type': 'request_static_file', 'req_uuid': 'req_1',
                           'file': {**part, 'chunk_index': 3}},
    }  # fmt: skip
    return {
        name: build_message(MessageType.INNER_REQUEST, info=info)
        for name, info in contents.items()
    }


def mutate(raw, rng):
    """Return a nasty version of a message: text stays text, and a frame a frame, mostly."""
    if isinstance(raw, bytes):
        return _mutate_frame(raw, rng)
    return _mutate_text(raw, rng)


def _mutate_text(text, rng):
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return _scratch(text, rng)
    tokens = {}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = _mutate_envelope(tree, rng, tokens)
    try:
        mutated = json.dumps(tree)
    except RecursionError:
        return text
    for mark, token in tokens.items():
        mutated = mutated.replace(f'"{mark}"', token)
    return _scratch(mutated, rng) if rng.random() < 0.03 else mutated


def _mutate_envelope(tree, rng, tokens):
    """Mutate the content, mostly: with a broken envelope a message does not get far."""
    inside = [name for name in ('data', 'info') if isinstance(tree, dict) and name in tree]
    if not inside or rng.random() < 0.08:
        return _mutate_node(tree, rng, tokens)
    if rng.random() < 0.05:
        tree['type'] = rng.choice(list(MessageType)).value
    elif rng.random() < 0.05:
        tree['topic'] = rng.choice(list(Topic)).value
    else:
        name = rng.choice(inside)
        tree[name] = _mutate_node(tree[name], rng, tokens)
    return tree


def _mutate_node(tree, rng, tokens):
    """Change one node at random, deep in the tree more often than its root."""
    numbers = isinstance(tree, list) and all(map(_is_number, tree))
    if isinstance(tree, (dict, list)) and tree and rng.random() < (0.7 if numbers else 0.95):
        key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        if rng.random() < 0.2:
            return _change_container(tree, key, rng)
        tree[key] = _mutate_node(tree[key], rng, tokens)
        return tree
    if isinstance(tree, str) and tree[:1] in ('{', '[') and rng.random() < 0.8:
        return _mutate_text(tree, rng)  # JSON in a string
    return _nasty(tree, rng, tokens)


def _change_container(tree, key, rng):
    """Drop, double, rename or wrap what is at ``key``."""
    change = rng.randrange(5)
    if change == 0:
        del tree[key]
    elif change == 1:
        tree[key] = [tree[key]]
    elif isinstance(tree, list):
        tree.extend(tree[key:] * rng.choice((1, 2, 40)) if change < 4 else [[]])
    elif change == 2:
        tree[key + rng.choice((' ', '_', '\0', 'x'))] = tree.pop(key)
    else:
        tree[key] = tree[rng.choice(list(tree))]  # what stands elsewhere: a wrong type, mostly
    return tree


def _nasty(value, rng, tokens):
    if _is_number(value) and rng.random() < 0.7:
        return _another_number(value, rng, tokens)
    if isinstance(value, list) and value and all(map(_is_number, value)) and rng.random() < 0.7:
        return [_another_number(value[0], rng, tokens)] * len(value)
    depth = rng.randint(DEEPEST - 20, DEEPEST)
    deep = '[' * depth + ']' * depth
    return _put(deep if rng.random() < 0.02 else rng.choice(NASTY), tokens)


def _is_number(value):
    return isinstance(value, (int, float))


def _another_number(value, rng, tokens):
    if rng.random() < 0.5:
        return _put(rng.choice(NUMBERS), tokens)
    try:
        return rng.choice((-value, value + 1, value * 10, value * 1e9, value / 7, rng.random()))
    except OverflowError:
        return 0


def _put(token, tokens):
    """Return what stands for a piece of text until the JSON is written."""
    tokens[f'{len(tokens)}{_MARK}'] = token
    return f'{len(tokens) - 1}{_MARK}'


def _scratch(text, rng):
    """Damage the text itself."""
    first, last = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    last = min(last, first + 20)
    noise = rng.choice(('', '"', '{', ']', '\0', '\\', '\\ud800', '\U0001f436', rng.choice(NASTY)))
    return text[:first] + noise + text[last:]


def _mutate_frame(frame, rng):
    start, length = _find_header(frame)
    header, payload = frame[start : start + length], frame[start + length :]
    if rng.random() < 0.6:
        text = _mutate_text(header.decode('utf-8', 'replace'), rng)
        header = text.encode('utf-8', 'surrogatepass')
    else:
        payload = _mutate_payload(payload, rng)
    lengths = (0, 1, 0xFFFF, rng.getrandbits(16))
    length = len(header) if rng.random() < 0.85 else rng.choice(lengths)
    if rng.random() < 0.5:
        return struct.pack('<HHI4x', 2, 0, length) + header + payload
    return struct.pack('<HH', length & 0xFFFF, len(payload) & 0xFFFF) + header + payload


def _find_header(frame):
    """Return where the header starts, and its length; anything for what is no frame."""
    if frame[:4] == b'\x02\0\0\0' and len(frame) >= 12:
        return 12, int.from_bytes(frame[4:8], 'little')
    return 4, int.from_bytes(frame[:2], 'little')


def _mutate_payload(payload, rng):
    change = rng.randrange(5)
    if change == 0:
        return payload[: rng.randrange(len(payload) + 1)]
    if change == 1:
        return payload + rng.randbytes(rng.choice((1, 8, 100)))
    if change == 2:
        return rng.randbytes(rng.choice((0, 1, 50)))
    if change == 3:
        return _another_bitmap(rng)
    at = rng.randrange(len(payload) + 1)
    return payload[:at] + rng.randbytes(rng.choice((1, 2, 8))) + payload[at + 1 :]


def _another_bitmap(rng):
    """Return another bitmap, of a size that fits a header of the seeds, or that fits none."""
    size = rng.choice((8192, 77824, 8191, 1, 0, 1 << 20))
    pattern = rng.choice((b'\xff', b'\0', b'\x01', rng.randbytes(64)))
    bitmap = (pattern * (size // len(pattern) + 1))[:size]
    return lz4.block.compress(bitmap, store_size=False)
