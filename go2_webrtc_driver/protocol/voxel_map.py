"""
Lidar voxel map: ``rt/utlidar/voxel_map_compressed``.

The robot sends an occupancy bitmap of 128 x 128 x N voxels, x fastest, eight
voxels to a byte, most significant bit first, as one LZ4 block without a size
header (checked by others on two recorded frames of a real robot).
"""

from __future__ import annotations

from typing import Any

import lz4.block
import numpy as np
from numpy.typing import NDArray

SIDE = 128  # voxels along x and along y
BYTES_PER_LAYER = SIDE * SIDE // 8
FRAME = 'odom'


def encode_voxels(
    voxels: NDArray[np.bool_], origin: tuple[float, float, float], resolution: float, stamp: float
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
