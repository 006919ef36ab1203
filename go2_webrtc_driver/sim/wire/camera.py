"""
The simulated front camera: 1280 x 720 H.264 at 30 frames/s, drawn from the robot's pose.

Whether a real Go2 sends 30 frames/s over WebRTC is not known; the size is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import PictureType

from ..pose import Pose
from ..world import frame_mark
from ..world.frame_mark import FrameMark
from ..world.scene import HEIGHT, WIDTH, Scene, planes

RATE = 30  # frames/s
KEYFRAME_INTERVAL = 60  # frames
CLOCK = 90_000  # Hz, of RTP video timestamps
LATEST = 3  # frames; a track that is later than this leaves frames out


class Camera:
    """Draws and encodes one picture after the other; used from one thread at a time."""

    def __init__(self) -> None:
        self._codec = _new_encoder()
        self._scene = Scene()

    def encode(self, pose: Pose, mark: FrameMark, keyframe: bool) -> av.Packet[Any]:
        """
        Return the picture seen from ``pose`` as one H.264 access unit (Annex B).

        Args:
            pose: of the robot's body in ``odom``.
            mark: drawn into the picture; its frame number, which must grow, gives the
                packet's time.
            keyframe: make it decodable on its own.
        """
        frame = av.VideoFrame.from_numpy_buffer(self._draw(pose, mark), 'nv12')
        frame.pts = mark.frame_number
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        (packet,) = self._codec.encode(frame)
        packet.pts = packet.dts = mark.frame_number * CLOCK // RATE
        packet.time_base = Fraction(1, CLOCK)
        return packet  # type: ignore[no-any-return]

    def _draw(self, pose: Pose, mark: FrameMark) -> Any:
        picture = self._scene.draw(pose)
        luma, color = planes(picture)
        frame_mark.draw(luma, mark)
        color[: frame_mark.HEIGHT // 2, : frame_mark.WIDTH // 2] = 128
        return picture


class CameraTrack(MediaStreamTrack):
    """
    The camera as a track: 30 frames/s while it is on; off at first.

    Attributes:
        frames_sent: number of frames handed over so far.
    """

    kind = 'video'

    def __init__(
        self, pose: Callable[[], Pose], is_frozen: Callable[[], bool] = lambda: False
    ) -> None:
        """
        Args:
            pose: tells where the robot is; called on the loop's thread.
            is_frozen: tells whether the camera hangs: it makes no pictures although it is on.
        """
        super().__init__()
        self.frames_sent = 0
        self._pose = pose
        self._is_frozen = is_frozen
        self._camera = Camera()
        self._worker = ThreadPoolExecutor(1, 'camera')
        self._on = asyncio.Event()
        self._keyframe = True
        self._due = 0.0
        self._number = 0

    def switch(self, on: bool) -> None:
        """Start or stop the pictures; the first one after a start is a keyframe."""
        if on:
            self._keyframe = True
            self._on.set()
        else:
            self._on.clear()

    def request_keyframe(self) -> None:
        """Make the next picture decodable on its own."""
        self._keyframe = True

    async def recv(self) -> av.Packet[Any]:
        """
        Return the next frame when it is due, encoded.

        Raises:
            MediaStreamError: the track was stopped.
        """
        await self._next_turn()
        while self._is_frozen() and self.readyState == 'live':
            await self._next_turn()
        if self.readyState != 'live':
            raise MediaStreamError
        keyframe, self._keyframe = self._keyframe, False
        mark = FrameMark(self._number, time.time_ns())
        self._number += 1
        packet = await asyncio.get_running_loop().run_in_executor(
            self._worker, self._camera.encode, self._pose(), mark, keyframe
        )
        self.frames_sent += 1
        return packet

    def stop(self) -> None:
        """End the track and its worker; a waiting :meth:`recv` raises."""
        super().stop()
        self._on.set()
        self._worker.shutdown(wait=False)

    async def _next_turn(self) -> None:
        clock = asyncio.get_running_loop().time
        await self._on.wait()
        self._due += 1 / RATE
        if self._due < clock() - LATEST / RATE:
            self._due = clock()
        await asyncio.sleep(self._due - clock())


def _new_encoder() -> Any:
    codec: Any = av.CodecContext.create('libx264', 'w')
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, 'nv12'
    codec.framerate, codec.time_base = Fraction(RATE, 1), Fraction(1, RATE)
    codec.gop_size = KEYFRAME_INTERVAL
    codec.thread_count = 1
    codec.options = {
        'preset': 'ultrafast',
        'tune': 'zerolatency',
        'profile': 'baseline',
        'level': '3.1',
        # A fixed quantizer spares the encoder a look at each picture before it encodes it.
        'qp': '26',
        'forced-idr': '1',
    }
    return codec
