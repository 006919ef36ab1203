"""Bounds that aiortc has not: what a peer that lies could fill memory or time with."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ..complaints import Complaints
from .picture_size import pixels_of_h264, pixels_of_vp8

logger = logging.getLogger(__name__)

MOST_PIXELS = 1920 * 1088  # of a picture; the largest known is 1920x1080
MOST_CHUNKS = 1024  # of messages that are not complete; one of 256 KiB has about 220
MOST_SOURCES = 16  # of RTP on one link; a robot has two
_PENDING = '_go2_pending_chunks'
_complaints = Complaints(logger)


def bounded_reassembly(receive: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """End an association whose peer sends beginnings of messages, and no ends."""

    async def receive_bounded(self: Any, chunk: Any) -> None:
        stream = self._get_inbound_stream(chunk.stream_id)
        before = len(stream.reassembly)
        await receive(self, chunk)
        pending = vars(self).get(_PENDING, 0) + len(stream.reassembly) - before
        if pending > MOST_CHUNKS:  # count again: some may have been given up meanwhile
            pending = sum(len(each.reassembly) for each in self._inbound_streams.values())
        vars(self)[_PENDING] = pending
        is_too_much = self._advertised_rwnd < 0 or len(self._sack_misordered) > MOST_CHUNKS
        if is_too_much or pending > MOST_CHUNKS:
            _complaints.warn('expected messages that end, got only parts: the link is ended')
            await self._abort()

    return receive_bounded


def bounded_sources(route: Callable[..., Any]) -> Callable[..., Any]:
    """Drop RTP of ever new sources: each would be kept, and reported on, for good."""

    def route_bounded(self: Any, packet: Any) -> Any:
        if packet.ssrc in self.ssrc_table or len(self.ssrc_table) < MOST_SOURCES:
            return route(self, packet)
        _complaints.warn('dropped RTP: expected at most %d sources', MOST_SOURCES)
        return None

    return route_bounded


def small_h264(decode: Callable[..., Any]) -> Callable[..., Any]:
    """Decode no picture that is larger than any known: it would be allocated first."""
    return _small(decode, pixels_of_h264)


def small_vp8(decode: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same for VP8, which a robot could choose."""
    return _small(decode, pixels_of_vp8)


def _small(decode: Callable[..., Any], pixels_of: Callable[[bytes], int]) -> Callable[..., Any]:
    def decode_small(self: Any, encoded_frame: Any) -> Any:
        pixels = pixels_of(encoded_frame.data)
        if pixels <= MOST_PIXELS:
            return decode(self, encoded_frame)
        _complaints.warn(
            'dropped a picture: expected at most %d pixels, one of %d is announced',
            MOST_PIXELS, pixels,
        )  # fmt: skip
        return []

    return decode_small
