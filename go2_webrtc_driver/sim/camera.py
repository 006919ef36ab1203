"""The simulated front camera: 1280 x 720 H.264 at 30 frames/s, drawn from the robot's pose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack

from . import frame_mark
from .frame_mark import FrameMark
from .pose import Pose
from .scene import HEIGHT, WIDTH, Scene

RATE = 30  # frames/s
KEYFRAME_INTERVAL = 60  # frames
CLOCK = 90_000  # Hz, of RTP video timestamps


class Camera:
    """Draws and encodes one picture after the other; used from one thread at a time."""

    def __init__(self) -> None:
        self._codec = _new_encoder()
        self._scene = Scene()

    def encode(self, pose: Pose, mark: FrameMark, keyframe: bool) -> av.Packet:
        """
        Return the picture seen from ``pose`` as one H.264 access unit (Annex B).

        Args:
            pose: of the robot's body in ``odom``.
            mark: drawn into the picture; its frame number gives the packet's time.
            keyframe: make it decodable on its own.
        """
        picture = self._scene.draw(pose)
        frame_mark.draw(picture, mark)
        frame = av.VideoFrame.from_ndarray(picture, format='nv12')
        frame.pts = mark.frame_number
        frame.pict_type = av.video.frame.PictureType.I if keyframe else 0  # type: ignore[assignment]
        data = b''.join(bytes(packet) for packet in self._codec.encode(frame))
        packet = av.Packet(data)
        packet.pts = mark.frame_number * CLOCK // RATE
        packet.time_base = Fraction(1, CLOCK)
        return packet


class CameraTrack(MediaStreamTrack):
    """
    The camera as a track: 30 frames/s while it is on.

    Attributes:
        frames_sent: number of frames handed over so far.
    """

    kind = 'video'

    def __init__(self, pose: Callable[[], Pose]) -> None:
        """
        Args:
            pose: tells where the robot is; called on the loop's thread.
        """
        super().__init__()
        self.frames_sent = 0
        self._pose = pose
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

    async def recv(self) -> av.Packet:
        """Return the next frame when it is due, encoded."""
        await self._next_turn()
        loop = asyncio.get_running_loop()
        keyframe, self._keyframe = self._keyframe, False
        mark = FrameMark(self._number, time.time_ns())
        pose = self._pose()
        packet = await loop.run_in_executor(
            self._worker, self._camera.encode, pose, mark, keyframe
        )
        self._number += 1
        self.frames_sent += 1
        return packet

    def stop(self) -> None:
        """End the track and its worker."""
        super().stop()
        self._worker.shutdown(wait=False)

    async def _next_turn(self) -> None:
        clock = asyncio.get_running_loop().time
        await self._on.wait()
        self._due += 1 / RATE
        if self._due < clock() - 3 / RATE:  # late or switched on again: no burst
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
        'crf': '27',
        'maxrate': '4M',
        'bufsize': '2M',
        'forced-idr': '1',
    }
    return codec
