import contextlib
import importlib.util
import json
import struct
import time
import tracemalloc
from pathlib import Path

import lz4.block
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.protocol import voxel_map
from go2_webrtc_driver.protocol.messages import Message, build_frame, parse_message
from go2_webrtc_driver.protocol.topics import MessageType, Topic
from go2_webrtc_driver.protocol.voxel_map import decode_voxel_map, encode_voxels
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world import lidar

TOPIC = Topic.VOXEL_MAP.value
# The header of a map that others recorded on a real robot.
RECORDED = {
    'stamp': 1.762223e09,
    'frame_id': 'odom',
    'resolution': 0.05,
    'src_size': 77824,
    'origin': [-3.775, -4.975, -0.575],
    'width': [128, 128, 38],
}
EMPTY = lz4.block.compress(bytes(77824), store_size=False)


def decode(payload=EMPTY, **changes):
    header = {name: value for name, value in {**RECORDED, **changes}.items() if value != 'absent'}
    return decode_voxel_map(Message(MessageType.MESSAGE, TOPIC, header, None, payload))


def bitmap_with(*numbered_bytes, size=77824):
    bitmap = bytearray(size)
    for number, value in numbered_bytes:
        bitmap[number] = value
    return lz4.block.compress(bytes(bitmap), store_size=False)


def form_b(header, payload):
    envelope = json.dumps({'type': 'msg', 'topic': TOPIC, 'data': header}).encode()
    return struct.pack('<HHI4x', 2, 0, len(envelope)) + envelope + payload


def test_the_most_significant_bit_of_the_first_byte_is_the_voxel_at_the_origin():
    found = decode(bitmap_with((0, 0b1000_0000)))
    assert found.points.tolist() == [pytest.approx([-3.775, -4.975, -0.575])]
    assert found.resolution == 0.05


def test_x_counts_bits_y_rows_of_16_bytes_and_z_layers_of_2048():
    found = decode(bitmap_with((2 * 2048 + 3 * 16 + 1, 0b0010_0001)))  # x = 10 and 15, y 3, z 2
    assert found.points.shape == (2, 3)
    assert found.points[0] == pytest.approx([-3.275, -4.825, -0.475])
    assert found.points[1] == pytest.approx([-3.025, -4.825, -0.475])


def test_the_last_bit_is_the_voxel_in_the_opposite_corner():
    found = decode(bitmap_with((77823, 1)))
    assert found.points[0] == pytest.approx([2.575, 1.375, 1.275])


def test_points_are_float32_and_good_to_a_hundredth_of_a_voxel_far_from_the_start():
    found = decode(bitmap_with((0, 1)), origin=[1000.025, -1000.025, 0])
    assert found.points.dtype == np.float32
    assert found.points[0] == pytest.approx([1000.375, -1000.025, 0.0], abs=0.0005)


def test_an_empty_map_has_no_points():
    assert decode().points.shape == (0, 3)


def test_other_widths_are_read_as_the_header_says():
    found = decode(bitmap_with((7, 1), size=8), width=[16, 2, 2], src_size=8, origin=[0, 0, 0])
    assert found.points[0] == pytest.approx([0.75, 0.05, 0.05])


@pytest.mark.parametrize('frame', [build_frame, form_b], ids=['form A', 'form B'])
def test_a_map_is_read_from_either_form_of_frame(frame):
    payload = bitmap_with((0, 0x80))
    raw = frame(TOPIC, RECORDED, payload) if frame is build_frame else frame(RECORDED, payload)
    assert len(decode_voxel_map(parse_message(raw)).points) == 1
    for length in range(len(raw)):
        with pytest.raises(DecodeError):
            decode_voxel_map(parse_message(raw[:length]))


def test_a_message_of_text_is_a_map_without_payload():
    text = json.dumps({'type': 'msg', 'topic': TOPIC, 'data': RECORDED})
    with pytest.raises(DecodeError, match='payload: expected 77824 bytes'):
        decode_voxel_map(parse_message(text))


NO_NUMBER = [
    'absent', None, 'text', '0.05', True, {}, [], float('nan'), float('inf'), -float('inf'),
    10**400,
]  # fmt: skip
BAD = {
    'frame_id': ['absent', None, 7, 'map', ['odom'], 'o' * 1000],
    'resolution': [*NO_NUMBER, 0, -0.05, 1e-300, 0.0009, 1.1, 1e300],
    'src_size': [*NO_NUMBER, 0, -77824, 77823, 77825, 77824.5, 2**31, 2**40, 10**300],
    'origin': [
        *NO_NUMBER, [0, 0], [0] * 4, ['0', '0', '0'], [0, None, 0], [0, 0, float('nan')],
        [float('inf'), 0, 0], [0, -1e300, 0], [1e5 + 1, 0, 0], {'x': 0, 'y': 0, 'z': 0},
    ],
    'width': [
        *NO_NUMBER, [128, 128], [128, 128, 38, 1], ['128', '128', '38'], [128, 128, None],
        [0, 128, 38], [-128, -128, 38], [128.5, 128, 38], [128, 128, float('nan')], [True] * 3,
        [4, 4096, 38],
    ],
}  # fmt: skip
CASES = [(name, bad) for name, values in BAD.items() for bad in values]


@pytest.mark.parametrize(('field', 'bad'), CASES, ids=range(len(CASES)))
def test_a_bad_field_is_one_decode_error_that_names_topic_and_field(field, bad):
    with pytest.raises(DecodeError) as error:
        decode(**{field: bad})
    assert f'{TOPIC}: {field}: ' in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize('content', [None, 'text', [], 7, [RECORDED]])
def test_data_that_is_no_object_is_a_decode_error(content):
    with pytest.raises(DecodeError, match=f'{TOPIC}: data: '):
        decode_voxel_map(Message(MessageType.MESSAGE, TOPIC, content, None, EMPTY))


@pytest.mark.parametrize(
    'width', [[128, 128, 37], [128, 128, 39], [1e30, 1e30, 1e30], [2**33, 2**33, 8]]
)
def test_a_size_that_does_not_fit_the_width_is_a_decode_error(width):
    with pytest.raises(DecodeError, match='src_size: expected what fits width'):
        decode(width=width)


@pytest.mark.parametrize(
    'payload',
    [
        b'', b'\0', b'\xff' * 50, EMPTY[:-1], EMPTY + b'\0', EMPTY[1:],
        bitmap_with(size=77823), bitmap_with(size=77825), bitmap_with(size=1 << 24),
        lz4.block.compress(bytes(77824)), bytes(77824),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_payload_that_is_not_the_promised_bitmap_is_a_decode_error(payload):
    with pytest.raises(DecodeError, match=f'{TOPIC}: payload: expected 77824 bytes'):
        decode(payload)


@contextlib.contextmanager
def at_most(mebibytes):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('layers', [513, 2**20, 2**31])
def test_nothing_is_allocated_for_a_bitmap_of_gigabytes(layers):
    with at_most(0.1), pytest.raises(DecodeError, match='src_size'):
        decode(b'\x1f\x00\x01\x00' * 100, width=[128, 128, layers], src_size=2048 * layers)


def test_a_small_packet_cannot_ask_for_more_than_a_million_points():
    bomb = lz4.block.compress(b'\xff' * 2**20, store_size=False)
    assert len(bomb) < 5000
    with at_most(20), pytest.raises(DecodeError, match='at most 1048576 voxels'):
        decode(bomb, width=[128, 128, 512], src_size=2**20)


def test_the_fullest_map_that_is_allowed_takes_bounded_memory():
    full = lz4.block.compress(b'\xff' * 2**17, store_size=False)
    with at_most(80):
        assert len(decode(full, width=[128, 128, 64], src_size=2**17).points) == 2**20


def test_a_map_takes_a_small_part_of_the_time_between_two():
    header, payload = encode_voxels(*lidar.scan(Pose(z=0.32)), lidar.RESOLUTION, 1.7e9)
    message = Message(MessageType.MESSAGE, TOPIC, header, None, payload)
    before = time.process_time()
    for _ in range(20):
        decode_voxel_map(message)
    assert (time.process_time() - before) / 20 < 0.01  # s; 0.2 ms measured, one comes in 137 ms


SETS_OF_VOXELS = st.integers(1, 60).flatmap(
    lambda layers: arrays.arrays(
        np.bool_, (layers, voxel_map.SIDE, voxel_map.SIDE), fill=st.booleans()
    )
)
ORIGINS = st.tuples(*[st.floats(-1000.0, 1000.0)] * 3)


@settings(deadline=None, max_examples=50)
@given(SETS_OF_VOXELS, ORIGINS, st.sampled_from([0.01, 0.05, 0.1]))
def test_any_set_of_voxels_survives_the_round_trip(voxels, origin, resolution):
    header, payload = encode_voxels(voxels, origin, resolution, 1.7e9)
    frame = build_frame(TOPIC, header, payload)
    found = decode_voxel_map(parse_message(frame))
    wanted = np.argwhere(voxels)[:, ::-1] * resolution + origin
    assert found.points.shape == wanted.shape
    np.testing.assert_allclose(found.points, wanted, atol=1e-4)
    assert found.resolution == resolution


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(ANYTHING, st.binary(max_size=100))
def test_any_content_is_a_map_or_a_decode_error(content, payload):
    with contextlib.suppress(DecodeError):
        decode_voxel_map(Message(MessageType.MESSAGE, TOPIC, content, None, payload))


@given(st.sampled_from(list(RECORDED)), ANYTHING | st.lists(st.integers() | st.floats()))
def test_any_field_is_accepted_or_a_decode_error(field, value):
    with contextlib.suppress(DecodeError):
        assert np.isfinite(decode(bitmap_with((0, 0xFF)), **{field: value}).points).all()


@given(st.binary(max_size=300), st.integers(1, 5))
def test_any_payload_is_a_map_or_a_decode_error(payload, layers):
    with contextlib.suppress(DecodeError):
        decode(payload, width=[8, 8, layers], src_size=8 * layers)


FRAME = build_frame(TOPIC, RECORDED, bitmap_with((0, 0x80), (70_000, 0xFF)))


@given(st.integers(0, len(FRAME) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_frame_is_a_map_or_a_decode_error(position, noise):
    damaged = FRAME[:position] + noise + FRAME[position + len(noise) :]
    with contextlib.suppress(DecodeError):
        message = parse_message(damaged)
        assert np.isfinite(decode_voxel_map(message).points).all()


def native_decoder():
    """Return the library's decoder without importing, and so patching, the rest of it."""
    spec = importlib.util.find_spec('unitree_webrtc_connect')
    if spec is None or spec.origin is None:
        pytest.skip('unitree_webrtc_connect is not installed')
    path = Path(spec.origin).parent / 'lidar' / 'lidar_decoder_native.py'
    spec = importlib.util.spec_from_file_location('foreign_native', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LidarDecoder()


@pytest.mark.parametrize('pose', [Pose(z=0.32), Pose(2.0, -0.4, 0.08, 1.0)])
def test_the_librarys_native_decoder_finds_the_same_points(pose):
    header, payload = encode_voxels(*lidar.scan(pose), lidar.RESOLUTION, 1.7e9)
    theirs = native_decoder().decode(payload, header)['points']
    ours = decode_voxel_map(Message(MessageType.MESSAGE, TOPIC, header, None, payload)).points
    assert len(ours) > 10_000
    assert set(map(tuple, ours)) == set(map(tuple, theirs.astype(np.float32)))


def test_the_librarys_native_decoder_finds_the_same_points_in_noise():
    voxels = np.random.default_rng(1).random((38, 128, 128)) < 0.1
    header, payload = encode_voxels(voxels, tuple(RECORDED['origin']), 0.05, 1.7e9)
    theirs = native_decoder().decode(payload, header)['points']
    ours = decode_voxel_map(Message(MessageType.MESSAGE, TOPIC, header, None, payload)).points
    assert len(ours) == voxels.sum()
    assert set(map(tuple, ours)) == set(map(tuple, theirs.astype(np.float32)))
