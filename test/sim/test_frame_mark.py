"""The machine-readable mark in the simulated picture."""

import cv2
import numpy as np
import pytest

from go2_webrtc_driver.sim.world import frame_mark
from go2_webrtc_driver.sim.world.frame_mark import FrameMark

MARK = FrameMark(4_000_000_000, 1_763_930_000_123_456_789)
BLANK = {'gray': (720, 1280), 'color': (720, 1280, 3)}


@pytest.fixture(params=BLANK.values(), ids=BLANK)
def image(request):
    return np.random.default_rng(1).integers(0, 256, request.param, np.uint8)


def test_a_mark_is_read_as_it_was_drawn(image):
    frame_mark.draw(image, MARK)
    assert frame_mark.read(image) == MARK


def test_a_picture_without_a_mark_has_none(image):
    assert frame_mark.read(image) is None


@pytest.mark.parametrize('level', [0, 127, 128, 255])
def test_an_even_picture_has_no_mark(level):
    assert frame_mark.read(np.full((720, 1280), level, np.uint8)) is None


def test_a_picture_smaller_than_the_mark_has_none():
    assert frame_mark.read(np.zeros((20, 640), np.uint8)) is None


def test_one_wrong_cell_voids_the_mark(image):
    frame_mark.draw(image, MARK)
    cell = image[16:32, 160:176]
    cell[:] = 255 - cell
    assert frame_mark.read(image) is None


def test_the_mark_touches_only_its_own_cells(image):
    before = image.copy()
    frame_mark.draw(image, MARK)
    assert (image[32:] == before[32:]).all()
    assert (image[:, 1024:] == before[:, 1024:]).all()


def test_the_frame_number_wraps_after_32_bits():
    image = np.zeros((720, 1280), np.uint8)
    frame_mark.draw(image, FrameMark((1 << 32) + 7, 1))
    assert frame_mark.read(image) == FrameMark(7, 1)


def test_the_mark_survives_other_color_orders_and_gray():
    image = np.zeros((720, 1280, 3), np.uint8)
    frame_mark.draw(image, MARK)
    assert frame_mark.read(image[..., ::-1]) == MARK
    assert frame_mark.read(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)) == MARK


def test_the_mark_survives_poor_jpeg():
    image = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    frame_mark.draw(image, MARK)
    _, packed = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    assert frame_mark.read(cv2.imdecode(packed, cv2.IMREAD_COLOR)) == MARK
