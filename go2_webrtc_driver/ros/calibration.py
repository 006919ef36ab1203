"""The camera's calibration, from a file as the camera_calibration package writes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

COEFFICIENTS = {'plumb_bob': 5, 'equidistant': 4, 'rational_polynomial': 8}


@dataclass(frozen=True)
class Calibration:
    """
    Intrinsics of a camera; the names are those of ``sensor_msgs/CameraInfo``.

    Attributes:
        width: of the calibrated image [pixels].
        height: of the calibrated image [pixels].
        distortion_model: ``plumb_bob`` or another one of image_geometry.
        d: distortion coefficients.
        k: 3 x 3 camera matrix, by rows [pixels].
        r: 3 x 3 rectification matrix, by rows.
        p: 3 x 4 projection matrix, by rows [pixels].
    """

    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]

    def scaled_to(self, width: int, height: int) -> Calibration:
        """Return the calibration of the same camera at another image size [pixels]."""
        if (width, height) == (self.width, self.height):
            return self
        across, down = width / self.width, height / self.height
        factors = (across, down, 1.0)
        return Calibration(
            width,
            height,
            self.distortion_model,
            self.d,
            tuple(value * factors[index // 3] for index, value in enumerate(self.k)),
            self.r,
            tuple(value * factors[index // 4] for index, value in enumerate(self.p)),
        )


def calibration_for(calibrations: Sequence[Calibration], width: int, height: int) -> Calibration:
    """Return the calibration made at this image size [pixels], else the first one, scaled."""
    for each in calibrations:
        if (each.width, each.height) == (width, height):
            return each
    return calibrations[0].scaled_to(width, height)


def load_calibration(path: Path) -> Calibration:
    """Return the calibration in a yaml file; raises ConfigError, which says what is wrong."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'camera_info_file: cannot read {path}: {error}') from error
    try:
        return _to_calibration(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'camera_info_file: {path}: missing or wrong: {error}') from error


def _to_calibration(content: Any) -> Calibration:
    model = str(content['distortion_model'])
    return Calibration(
        int(content['image_width']),
        int(content['image_height']),
        model,
        _matrix(content, 'distortion_coefficients', COEFFICIENTS.get(model)),
        _matrix(content, 'camera_matrix', 9),
        _matrix(content, 'rectification_matrix', 9),
        _matrix(content, 'projection_matrix', 12),
    )


def _matrix(content: Any, name: str, length: int | None) -> tuple[float, ...]:
    values = tuple(float(value) for value in content[name]['data'])
    if length is not None and len(values) != length:
        raise ValueError(f'{name}: expected {length} numbers, got {len(values)}')
    if not all(map(math.isfinite, values)):
        raise ValueError(f'{name}: expected finite numbers, got {values}')
    return values
