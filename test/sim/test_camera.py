"""The simulated camera: what it shows, how it is encoded, when it sends."""

import asyncio
import math
import re
import selectors
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.mediastreams import MediaStreamError

from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.wire.camera import Camera, CameraTrack
from go2_webrtc_driver.sim.world import frame_mark
from go2_webrtc_driver.sim.world.frame_mark import FrameMark
from go2_webrtc_driver.sim.world.scene import LIGHT, Scene, back_to_front, optical, project
from go2_webrtc_driver.sim.world.world import WORLD

START = Pose(0.0, 0.0, 0.32, 0.0)
CAPTURED_NS = 1_763_930_000_123_456_789
SLICE, IDR, SPS, PPS = 1, 5, 7, 8


def look(pose):
    """Return the picture from ``pose`` before the encoder, BGR."""
    return cv2.cvtColor(Scene().draw(pose), cv2.COLOR_YUV2BGR_NV12)


def is_red(pixel):
    b, g, r = map(int, pixel)
    return r > 120 and b < 90 and g < 90


def kinds(packet):
    """Return the kinds of NAL unit in an access unit."""
    starts = re.finditer(b'\x00\x00\x01(.)', bytes(packet), re.DOTALL)
    return [start[1][0] & 31 for start in starts]


def decode(packets, layout='bgr24'):
    decoder = av.CodecContext.create('h264', 'r')
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    return [frame.to_ndarray(format=layout) for frame in frames + decoder.decode(None)]


def walk(count):
    """Return a square's worth of poses."""
    return [Pose(i / count, (i % 7) / 7, 0.32, i / count * math.tau) for i in range(count)]


def film(camera, poses, keyframes=()):
    return [
        camera.encode(pose, FrameMark(number, CAPTURED_NS + number), number in keyframes)
        for number, pose in enumerate(poses)
    ]


# The scene. Eye at (0.327, 0, 0.363); the red box's front face is 2.473 m ahead of it.


def test_a_point_straight_ahead_at_the_cameras_height_is_at_the_optical_center():
    pixel = project(optical(START, np.array((3.0, 0.0, 0.363))))
    assert pixel == pytest.approx((639.2, 373.3))


def test_a_point_one_metre_left_and_up_is_a_focal_length_over_its_distance_away():
    pixel = project(optical(START, np.array((2.327, 1.0, 1.363))))
    assert pixel == pytest.approx((639.2 - 864.4 / 2, 373.3 - 863.7 / 2))


def test_a_turned_and_moved_robot_sees_the_point_from_there():
    pose = Pose(1.0, 2.0, 0.32, math.pi / 2)
    pixel = project(optical(pose, np.array((1.5, 2.327 + 2.0, 0.363))))
    assert pixel == pytest.approx((639.2 + 864.4 * 0.25, 373.3))


def test_the_red_box_is_drawn_where_projection_says():
    picture = look(START)
    left, right = 639.2 - 864.4 * 0.2 / 2.473, 639.2 + 864.4 * 0.2 / 2.473  # 569.3, 709.1
    row = 430  # its middle: 373.3 + 863.7 * 0.163 / 2.473
    red = [column for column in range(1280) if is_red(picture[row, column])]
    assert red[0] == pytest.approx(left, abs=2)
    assert red[-1] == pytest.approx(right, abs=2)
    assert len(red) == red[-1] - red[0] + 1


def test_the_red_box_grows_as_the_robot_walks_towards_it():
    near = look(Pose(1.0, 0.0, 0.32, 0.0))[470]
    red = [column for column in range(1280) if is_red(near[column])]
    assert red[0] == pytest.approx(639.2 - 864.4 * 0.2 / 1.473, abs=2)  # 521.8
    assert red[-1] == pytest.approx(639.2 + 864.4 * 0.2 / 1.473, abs=2)  # 756.6


def test_the_red_box_moves_right_as_the_robot_turns_left_and_leaves():
    turned = look(Pose(0.0, 0.0, 0.32, 0.3))
    red = np.flatnonzero([is_red(pixel) for pixel in turned[430]])
    assert red.min() > 720
    assert not any(is_red(pixel) for pixel in look(Pose(0.0, 0.0, 0.32, math.pi))[430])


def test_there_is_sky_above_and_floor_below():
    b, g, r = map(int, look(START)[60, 1200])
    assert b > g > r
    b, g, r = map(int, look(START)[700, 700])
    assert max(b, g, r) - min(b, g, r) < 20


class Rays:
    """What a camera sees along rays: an independent reference for the painted boxes."""

    low = np.array([box.low for box in WORLD])
    high = np.array([box.high for box in WORLD])

    def __init__(self, pose):
        self.cos, self.sin = math.cos(pose.yaw), math.sin(pose.yaw)
        forward = 0.327
        self.eye = np.array(
            (pose.x + forward * self.cos, pose.y + forward * self.sin, pose.z + 0.043)
        )

    def hit(self, column, row):
        """Return (box, face) ahead of each pixel as one number, -1 for none."""
        right, down = (column - 639.2) / 864.4, (row - 373.3) / 863.7
        ray = np.stack((self.cos + self.sin * right, self.sin - self.cos * right, -down), -1)
        with np.errstate(divide='ignore', invalid='ignore'):
            ends = [(side - self.eye) / ray[..., None, :] for side in (self.low, self.high)]
        enter, leave = np.minimum(*ends), np.maximum(*ends).min(axis=-1)
        axis, enter = enter.argmax(axis=-1), enter.max(axis=-1)
        enter = np.where((enter <= leave) & (enter > 0.1), enter, np.inf)
        box = enter.argmin(axis=-1)[..., None]
        axis = np.take_along_axis(axis, box, -1)
        face = 2 * axis + (np.take_along_axis(ray, axis, -1) < 0)
        seen = np.isfinite(np.take_along_axis(enter, box, -1))
        return np.where(seen, box * 6 + face, -1)[..., 0]


PLACES = [
    START,
    Pose(1.0, 1.0, 0.32, 2.5),
    Pose(3.6, 2.9, 0.32, 3.3),  # along a wall, most of it behind the camera
    Pose(2.0, -2.2, 0.08, 0.9),
    Pose(-2.9, -2.5, 0.32, 0.4),
    Pose(2.5, 0.55, 0.32, -1.2),
]


@pytest.mark.parametrize('pose', PLACES)
def test_every_pixel_of_a_box_has_the_color_of_the_face_a_ray_hits(pose):
    column, row = np.meshgrid(np.arange(5, 1280, 10), np.arange(5, 720, 10))
    rays = Rays(pose)
    hit = rays.hit(column, row)
    around = [rays.hit(column + dx, row + dy) for dx in (-4, 4) for dy in (-4, 4)]
    inner = (hit >= 0) & np.all([hit == other for other in around], axis=0)
    colors = np.array([[np.multiply(box.color, light) for light in LIGHT] for box in WORLD])
    expected = colors.reshape(-1, 3)[hit[inner]]
    drawn = look(pose)[row[inner], column[inner]]
    assert inner.sum() > 500
    assert np.abs(drawn - expected).max() < 10


def test_a_low_box_in_front_of_a_long_wall_is_drawn_after_it():
    low = np.array([(3.0, -0.2, 0.0), (-3.0, 1.0, 0.0)])
    high = np.array([(3.4, 0.2, 0.4), (4.0, 1.1, 0.8)])
    assert back_to_front(low, high, np.array((0.0, 0.0, 0.3))) == [1, 0]


# The encoding.


def test_a_frame_is_one_packet_of_1280_by_720():
    (picture,) = decode(film(Camera(), [START]))
    assert picture.shape == (720, 1280, 3)


def test_the_decoded_picture_shows_the_scene():
    picture = decode(film(Camera(), [START]))[0]
    difference = np.abs(picture[40:].astype(int) - look(START)[40:])
    assert difference.mean() < 3
    assert is_red(picture[430, 640])


@pytest.mark.parametrize('layout', ['bgr24', 'rgb24', 'gray'])
def test_every_decoded_frame_carries_its_mark(layout):
    pictures = decode(film(Camera(), walk(40)), layout)
    marks = [frame_mark.read(picture) for picture in pictures]
    assert marks == [FrameMark(number, CAPTURED_NS + number) for number in range(40)]


def test_the_first_frame_and_a_requested_one_decode_on_their_own():
    packets = film(Camera(), walk(8), keyframes={5})
    assert [set(kinds(packet)) >= {SPS, PPS, IDR} for packet in packets] == [
        number in (0, 5) for number in range(8)
    ]
    assert all(kind == SLICE for kind in kinds(packets[4]))
    assert frame_mark.read(decode(packets[5:])[0]) == FrameMark(5, CAPTURED_NS + 5)


def test_a_keyframe_comes_by_itself_every_two_seconds():
    packets = film(Camera(), [START] * 121)
    assert [n for n, packet in enumerate(packets) if IDR in kinds(packet)] == [0, 60, 120]


def test_packets_are_timed_33_milliseconds_apart_at_90_khz():
    packets = film(Camera(), [START] * 4)
    assert [packet.pts for packet in packets] == [0, 3000, 6000, 9000]
    assert {packet.time_base for packet in packets} == {Fraction(1, 90_000)}


def test_aiortc_packs_a_packet_as_it_is():
    payloads, timestamp = H264Encoder().pack(film(Camera(), [START] * 2)[1])
    assert payloads
    assert timestamp == 3000


# The track.


class Clock(selectors.DefaultSelector):
    """A selector that lets waiting time pass at once."""

    now = 1000.0

    def select(self, timeout=None):
        ready = super().select(10.0 if timeout is None else 0)
        if timeout is None and not ready:
            raise RuntimeError('nothing happens any more')
        self.now += 0 if ready else timeout or 0
        return ready


class LoopWithoutWaiting(asyncio.SelectorEventLoop):
    """An event loop whose clock only moves when it has nothing to do."""

    def __init__(self):
        self.clock = Clock()
        super().__init__(self.clock)

    def time(self):
        return self.clock.now


def run(scenario, pose=lambda: START):
    """Run ``scenario(track, loop)`` with a fresh track on a loop whose time costs nothing."""

    async def with_track():
        track = CameraTrack(pose)
        try:
            await scenario(track, asyncio.get_running_loop())
        finally:
            track.stop()

    loop = LoopWithoutWaiting()
    try:
        loop.run_until_complete(with_track())
    finally:
        loop.close()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_track_waits_while_it_is_off():
    asked = []

    async def scenario(track, loop):
        waiting = asyncio.ensure_future(track.recv())
        await settle()
        assert asked == []
        assert track.frames_sent == 0
        track.switch(True)
        assert IDR in kinds(await waiting)
        assert asked == [True]

    run(scenario, pose=lambda: asked.append(True) or START)


def test_a_track_switched_on_again_goes_on_with_a_keyframe():
    asked = []

    async def scenario(track, loop):
        track.switch(True)
        first = [await track.recv() for _ in range(3)]
        track.switch(False)
        waiting = asyncio.ensure_future(track.recv())
        loop.clock.now += 20.0
        await settle()
        assert len(asked) == 3
        track.switch(True)
        again = [await waiting, await track.recv()]
        assert [packet.pts for packet in first + again] == [0, 3000, 6000, 9000, 12000]
        assert [IDR in kinds(packet) for packet in first + again] == [1, 0, 0, 1, 0]
        assert track.frames_sent == 5

    run(scenario, pose=lambda: asked.append(True) or START)


def test_a_requested_keyframe_is_the_next_frame_and_only_that():
    async def scenario(track, loop):
        track.switch(True)
        await track.recv()
        track.request_keyframe()
        assert [IDR in kinds(await track.recv()) for _ in range(2)] == [True, False]

    run(scenario)


def test_frames_keep_to_the_clock_without_drift():
    async def scenario(track, loop):
        track.switch(True)
        await track.recv()
        start = loop.time()
        for _ in range(30):
            await track.recv()
            loop.clock.now += 0.004  # a frame's own cost must not add up
        assert loop.time() - 0.004 == pytest.approx(start + 1.0)

    run(scenario)


def test_a_track_that_is_a_little_late_catches_up():
    async def scenario(track, loop):
        track.switch(True)
        await track.recv()
        start = loop.time()
        loop.clock.now += 2.5 / 30
        times = []
        for _ in range(4):
            await track.recv()
            times.append(loop.time() - start)
        assert times == pytest.approx([2.5 / 30, 2.5 / 30, 3 / 30, 4 / 30])

    run(scenario)


def test_a_track_that_is_far_behind_leaves_frames_out_instead_of_a_burst():
    async def scenario(track, loop):
        track.switch(True)
        await track.recv()
        loop.clock.now += 2.0
        late = loop.time()
        times = []
        for _ in range(3):
            await track.recv()
            times.append(loop.time() - late)
        assert times == pytest.approx([0.0, 1 / 30, 2 / 30])

    run(scenario)


def test_each_frame_is_numbered_and_shows_the_pose_of_its_time():
    poses = iter([START, Pose(0.0, 0.0, 0.32, math.pi), START])

    async def scenario(track, loop):
        track.switch(True)
        pictures = decode([await track.recv() for _ in range(3)])
        marks = [frame_mark.read(picture) for picture in pictures]
        assert [mark.frame_number for mark in marks] == [0, 1, 2]
        assert marks[0].capture_time_ns < marks[1].capture_time_ns < marks[2].capture_time_ns
        assert [is_red(picture[430, 640]) for picture in pictures] == [True, False, True]

    run(scenario, pose=lambda: next(poses))


def test_a_stopped_track_ends_the_wait_and_says_so():
    async def scenario(track, loop):
        waiting = asyncio.ensure_future(track.recv())
        await settle()
        track.stop()
        with pytest.raises(MediaStreamError):
            await waiting
        with pytest.raises(MediaStreamError):
            await track.recv()

    run(scenario)
