"""The simulated lidar's map."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from go2_webrtc_driver.protocol.voxel_map import encode_voxels
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world import lidar
from go2_webrtc_driver.sim.world.world import RED_BOX, WORLD

START = Pose(0.0, 0.0, 0.32, 0.0)
PLACES = [START, Pose(1.0, 1.0, 0.32, 2.0), Pose(2.0, -0.4, 0.08, 0.0), Pose(-2.9, 2.4, 0.32, 1.0)]


def points(pose):
    """Return the middles of the occupied voxels, shape (N, 3), in odom [m]."""
    voxels, origin = lidar.scan(pose)
    return np.argwhere(voxels)[:, ::-1] * lidar.RESOLUTION + origin


def cells(pose):
    return {tuple(cell) for cell in np.floor(points(pose) / lidar.RESOLUTION).astype(int)}


def distance_to_surfaces(at):
    """Return how far points are from the nearest box's surface or the floor, shape (N,) [m]."""
    nearest = np.abs(at[:, 2])
    for box in WORLD:
        outside = np.maximum(np.array(box.low) - at, at - np.array(box.high))
        beyond = np.linalg.norm(np.maximum(outside, 0.0), axis=1)
        nearest = np.minimum(nearest, beyond + np.abs(np.minimum(outside.max(axis=1), 0.0)))
    return nearest


def test_the_map_has_the_shape_and_height_of_a_recorded_one():
    voxels, origin = lidar.scan(START)
    assert voxels.shape == (38, 128, 128)
    assert voxels.dtype == np.bool_
    assert origin == (-3.175, -3.175, -0.575)


def test_a_wall_is_where_the_wall_is():
    at = points(START)
    wall = at[(at[:, 1] > 2.9) & (at[:, 2] > 0.1)]
    assert len(wall) > 1000
    assert wall[:, 1].min() == pytest.approx(3.025)  # its face is at y = 3.0
    assert wall[:, 2].max() == pytest.approx(0.975)  # it is 1.0 high
    assert wall[:, 0].min() == pytest.approx(-3.175)
    assert wall[:, 0].max() == pytest.approx(3.175)


def test_a_box_is_hollow_and_as_large_as_it_is():
    at = points(START)
    near = (np.abs(at[:, :2] - RED_BOX.center[:2]) < 0.3).all(axis=1)
    box = at[near & (at[:, 2] > 0.05)]
    assert box.min(axis=0) == pytest.approx((2.825, -0.175, 0.075))
    assert box.max(axis=0) == pytest.approx((3.175, 0.175, 0.375))
    middle = np.abs(box - RED_BOX.center)
    assert not (middle < 0.1).all(axis=1).any()


@pytest.mark.parametrize('pose', PLACES)
def test_every_voxel_lies_on_a_surface(pose):
    half_diagonal = lidar.RESOLUTION * math.sqrt(3) / 2
    assert distance_to_surfaces(points(pose)).max() <= half_diagonal


def test_the_floor_is_seen_in_the_layer_above_zero_up_to_three_metres():
    at = points(START)
    assert at[:, 2].min() == pytest.approx(0.025)
    open_floor = at[(at[:, 2] < 0.05) & (np.abs(at[:, 0]) < 2.0) & (np.abs(at[:, 1]) < 2.0)]
    assert len(open_floor) > 0.8 * 80 * 80
    free = at[(at[:, 2] < 0.05) & (np.abs(at[:, 1]) < 2.9) & (at[:, 0] < 2.2)]
    assert np.hypot(free[:, 0], free[:, 1]).max() <= 3.06


@pytest.mark.parametrize('step', [0.025, 0.05, 0.33])
def test_voxels_stay_put_in_odom_when_the_robot_moves(step):
    before, after = (
        {cell for cell in cells(pose) if math.hypot(*cell[:2]) < 2.4 / lidar.RESOLUTION}
        for pose in (START, Pose(step, step, 0.32, 0.4))
    )
    assert len(before) > 6000
    assert before == after


def test_turning_or_lying_down_does_not_change_the_map():
    voxels, origin = lidar.scan(START)
    turned, same = lidar.scan(Pose(0.0, 0.0, 0.08, 2.0))
    assert same == origin
    assert (turned == voxels).all()


def test_a_robot_that_left_the_room_still_sees_the_floor():
    at = points(Pose(50.0, -70.0, 0.32, 0.0))
    assert at[:, 2] == pytest.approx(0.025)
    assert at[:, :2].mean(axis=0) == pytest.approx((50.0, -70.0), abs=0.05)


def test_the_encoded_map_is_of_a_real_ones_order_of_size():
    for pose in PLACES:
        header, payload = encode_voxels(*lidar.scan(pose), lidar.RESOLUTION, 1.7e9)
        assert header['src_size'] == 77824  # libvoxel's buffer has 80000
        assert 2_000 < len(payload) < 30_000  # a recorded one has 17567, libvoxel's buffer 61440


def foreign_decoder(name):
    """Return a decoder of unitree_webrtc_connect without importing, and so patching, the rest."""
    spec = importlib.util.find_spec('unitree_webrtc_connect')
    if spec is None or spec.origin is None:
        pytest.skip('unitree_webrtc_connect is not installed')
    path = Path(spec.origin).parent / 'lidar' / f'lidar_decoder_{name}.py'
    spec = importlib.util.spec_from_file_location(f'foreign_{name}', path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        pytest.skip(f'a decoder of unitree_webrtc_connect needs more: {error}')
    return module.LidarDecoder()


def test_the_foreign_native_decoder_finds_the_same_points():
    voxels, origin = lidar.scan(START)
    header, payload = encode_voxels(voxels, origin, lidar.RESOLUTION, 1.7e9)
    found = foreign_decoder('native').decode(payload, header)['points']
    assert found == pytest.approx(points(START))


def test_the_foreign_libvoxel_decoder_meshes_the_map_within_its_buffers():
    decoder = foreign_decoder('libvoxel')
    for pose in PLACES:
        voxels, origin = lidar.scan(pose)
        header, payload = encode_voxels(voxels, origin, lidar.RESOLUTION, 1.7e9)
        mesh = decoder.decode(payload, header)
        assert decoder.get_value(decoder.decompressedSize, 'i32') == header['src_size'] <= 80_000
        assert len(payload) <= 61_440
        assert 10_000 < mesh['face_count'] <= 2_880_000 // 12  # 12 bytes of positions a face
        corners = mesh['positions'].reshape(-1, 3)[:, :2]
        _, rows, columns = np.nonzero(voxels)
        assert corners.min(axis=0) == pytest.approx((columns.min(), rows.min()))
