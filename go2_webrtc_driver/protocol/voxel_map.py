"""
Lidar voxel map: ``rt/utlidar/voxel_map_compressed``.

The robot sends an occupancy bitmap of 128 x 128 x N voxels, x fastest, eight
voxels to a byte, most significant bit first, as one LZ4 block without a size
header (checked by others on two recorded frames of a real robot).

A voxel's point is ``index * resolution + origin``, as in unitree_webrtc_connect 2.2.0.
Whether that is the voxel's middle or its lowest corner no source says, so every point may be
half a voxel, 2.5 cm, off along each axis. We call it the middle: the one recorded origin,
(-3.775, -4.975, -0.575), is the middle of a cell if the grid's borders are at whole multiples
of 0.05 m. The vendor's libvoxel meshes a voxel from its index to the next, which speaks for
the corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lz4.block
import numpy as np
from numpy.typing import NDArray

from ..errors import DecodeError
from .fields import Fields
from .messages import Message

SIDE = 128  # voxels along x and along y
FRAME = 'odom'

LARGEST_BITMAP = 1 << 20  # bytes; a recorded map has 77 824, the vendor's app room for 80 000
MOST_POINTS = 1 << 20  # 12 MiB; a recorded map with every voxel occupied would have 622 592
RESOLUTIONS = (0.001, 1.0)  # m; every recorded map has 0.05
FARTHEST_ORIGIN = 1e5  # m; beyond it float32 is coarser than 8 mm

Vector = tuple[float, float, float]
Width = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class VoxelMap:
    """
    The occupied voxels around the robot.

    The robot's stamp is left out: its 7 digits step by 1000 s.

    Attributes:
        points: one for each occupied voxel, shape (N, 3), float32, in ``odom`` [m].
        resolution: edge of a voxel [m].
    """

    points: NDArray[np.float32]
    resolution: float


def decode_voxel_map(message: Message) -> VoxelMap:
    """Return the map, points by rising z, y, x; raises DecodeError."""
    fields = Fields(message.topic, message.data)
    frame = message.data.get('frame_id')
    if frame != FRAME:
        got = repr(frame[:40]) if isinstance(frame, str) else type(frame).__name__
        raise DecodeError(message.topic, f'frame_id: expected {FRAME!r}, got {got}')
    resolution, origin = _decode_grid(message.topic, fields)
    width, size = _decode_size(message.topic, fields)
    bitmap = _decompress(message, size)
    voxels = np.unpackbits(np.frombuffer(bitmap, np.uint8)).view(np.bool_)
    if np.count_nonzero(voxels) > MOST_POINTS:
        raise DecodeError(message.topic, f'payload: expected at most {MOST_POINTS} voxels')
    return VoxelMap(_to_points(voxels, width, origin, resolution), resolution)


def encode_voxels(
    voxels: NDArray[np.bool_], origin: Vector, resolution: float, stamp: float
) -> tuple[dict[str, Any], bytes]:
    """
    Return the ``data`` object and the compressed bitmap of one voxel map.

    Args:
        voxels: occupancy, shape (N, 128, 128), indexed z, y, x.
        origin: position of voxel (0, 0, 0) in the robot's ``odom`` frame [m].
        resolution: edge of a voxel [m].
        stamp: the robot's clock [s]; the wire keeps 7 significant digits, as the robot does.
    """
    bitmap = np.packbits(voxels).tobytes()
    header = {
        'stamp': float(f'{stamp:.6e}'),
        'frame_id': FRAME,
        'resolution': resolution,
        'src_size': len(bitmap),
        'origin': list(origin),
        'width': [SIDE, SIDE, len(voxels)],
    }
    return header, lz4.block.compress(bitmap, store_size=False)


def _decode_grid(topic: str, fields: Fields) -> tuple[float, Vector]:
    """Return resolution and origin [m]."""
    resolution, (x, y, z) = fields.number('resolution'), fields.numbers('origin', 3)
    low, high = RESOLUTIONS
    if not low <= resolution <= high:
        raise DecodeError(topic, f'resolution: expected {low} to {high} m, got {resolution}')
    if max(abs(x), abs(y), abs(z)) > FARTHEST_ORIGIN:
        expected = f'at most {FARTHEST_ORIGIN:g} m from zero'
        raise DecodeError(topic, f'origin: expected {expected}, got {(x, y, z)}')
    return resolution, (x, y, z)


def _decode_size(topic: str, fields: Fields) -> tuple[Width, int]:
    """Return the voxels along x, y, z, and the bytes of their bitmap."""
    sides, size = fields.numbers('width', 3), fields.integer('src_size')
    if not 0 < size <= LARGEST_BITMAP:
        raise DecodeError(topic, f'src_size: expected 1 to {LARGEST_BITMAP} bytes, got {size:.6g}')
    x, y, z = map(int, sides)
    if min(sides) < 1 or (x, y, z) != sides or x % 8:
        expected = 'three positive whole numbers, the first a multiple of 8'
        raise DecodeError(topic, f'width: expected {expected}, got {sides}')
    if x * y * z != size * 8:
        raise DecodeError(topic, f'src_size: expected what fits width {sides}, got {size}')
    return (x, y, z), size


def _decompress(message: Message, size: int) -> bytes:
    try:
        bitmap: bytes = lz4.block.decompress(message.payload, uncompressed_size=size)
    except lz4.block.LZ4BlockError as error:
        got = f'{len(message.payload)} bytes: {error}'
        raise DecodeError(
            message.topic, f'payload: expected {size} bytes as LZ4, got {got}'
        ) from error
    if len(bitmap) != size:
        raise DecodeError(message.topic, f'payload: expected {size} bytes, got {len(bitmap)}')
    return bitmap


def _to_points(
    voxels: NDArray[np.bool_], width: Width, origin: Vector, resolution: float
) -> NDArray[np.float32]:
    columns, rows, _ = width
    rest, x = np.divmod(np.flatnonzero(voxels).astype(np.int32), columns)
    z, y = np.divmod(rest, rows)
    points = np.empty((len(x), 3), np.float32)
    for axis, index in enumerate((x, y, z)):
        points[:, axis] = index * resolution + origin[axis]
    return points
