from fractions import Fraction

import av
import numpy as np
import pytest

from go2_webrtc_driver.link.aiortc_bounds import MOST_PIXELS, small_h264
from go2_webrtc_driver.link.picture_size import pixels_of_h264, pixels_of_vp8


def coded(codec, width, height, **options):
    """Return one key frame as a real encoder makes it, with its headers."""
    context = av.CodecContext.create(codec, 'w')
    context.width, context.height, context.pix_fmt = width, height, 'yuv420p'
    context.time_base = Fraction(1, 30)
    context.options = options
    frame = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format='bgr24')
    packets = [*context.encode(frame.reformat(format='yuv420p')), *context.encode(None)]
    return bytes(packets[0])


@pytest.mark.parametrize('profile', ['baseline', 'main', 'high'])
@pytest.mark.parametrize('size', [(64, 48), (1280, 720), (1920, 1080), (640, 362)])
def test_the_size_is_read_from_the_header_before_anything_is_decoded(profile, size):
    found = pixels_of_h264(coded('libx264', *size, profile=profile, bf='0'))
    width, height = (-(-side // 16) * 16 for side in size)  # whole macroblocks
    assert found == width * height


def test_interlaced_pictures_count_both_fields():
    assert pixels_of_h264(coded('libx264', 640, 480, flags='+ilme')) == 640 * 480


@pytest.mark.parametrize('size', [(64, 48), (1280, 720)])
def test_the_size_of_vp8_is_read_too(size):
    assert pixels_of_vp8(coded('libvpx', *size)) == size[0] * size[1]


@pytest.mark.parametrize(
    'raw', [b'', b'\x00\x00\x01', b'\x00\x00\x01\x67', b'\x00\x00\x01\x67\x42' + bytes(200)]
)
def test_a_header_that_cannot_be_read_is_no_size(raw):
    assert pixels_of_h264(raw) == 0
    assert pixels_of_vp8(raw) == 0


def test_a_picture_that_is_announced_too_large_does_not_reach_the_decoder(caplog):
    class Frame:
        data = coded('libx264', 2048, 2048, preset='ultrafast')

    decode = small_h264(lambda self, encoded_frame: 1 / 0)
    assert decode(None, Frame) == []
    assert f'at most {MOST_PIXELS} pixels, one of {2048 * 2048} is announced' in caplog.text
