"""The sound of the simulated robot."""

from __future__ import annotations

import asyncio

from aiortc import AudioStreamTrack
from av.frame import Frame


class Microphone(AudioStreamTrack):
    """The robot's microphone: silence, while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self._on = asyncio.Event()

    def switch(self, on: bool) -> None:
        """Start or stop the sound."""
        if on:
            self._on.set()
        else:
            self._on.clear()

    async def recv(self) -> Frame:
        """Return the next frame when it is due."""
        await self._on.wait()
        return await super().recv()
