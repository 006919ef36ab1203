"""The camera's calibration, from a file as the camera_calibration package writes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import yaml
from ament_index_python.packages import get_package_share_directory

from ..errors import ConfigError
from ..files import read_bounded

COEFFICIENTS = {'plumb_bob': (5,), 'equidistant': (4,), 'rational_polynomial': (8, 12, 14)}
SHIPPED = ('camera_1280x720.yaml', 'camera_1920x1080.yaml')
LARGEST_FILE = 64 * 1024  # bytes
LARGEST_SIDE = 16_384  # pixels
ROTATION_TOLERANCE = 1e-3  # of an element; files have few digits


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


def load_calibrations(file: str, shipped: Path) -> list[Calibration]:
    """Return the calibration in ``file``, or those in the folder ``shipped`` if it is empty."""
    files = [file] if file else [str(shipped / name) for name in SHIPPED]
    return [load_calibration(each) for each in files]


def load_calibration(file: str | Path) -> Calibration:
    """
    Return the calibration in a yaml file.

    Args:
        file: a path, or ``file://`` or ``package://`` and a path, as camera_info_manager takes it.

    Raises:
        ConfigError: says what is wrong, but never shows a text of the file: it may be any file.
    """
    try:
        text, _ = read_bounded(_path_of(str(file)), LARGEST_FILE)
        return _to_calibration(_parse(text))
    except ConfigError as error:
        raise ConfigError(f'camera_info_file {file}: {error}') from None


def _path_of(file: str) -> str:
    scheme, separator, rest = file.partition('://')
    if not separator:
        return file
    if scheme == 'file':
        return unquote(rest)
    if scheme != 'package':
        raise ConfigError('expected a path, file:// or package://')
    package, _, path = rest.partition('/')
    try:
        return str(Path(get_package_share_directory(package)) / unquote(path))
    except (LookupError, ValueError, OSError):  # of ament: not installed, not a name
        raise ConfigError('expected package:// and a package that is installed') from None


def _parse(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' at line {mark.line + 1}' if mark else ''
        raise ConfigError(f'expected valid yaml{where}') from None
    if not isinstance(content, dict):
        raise ConfigError('expected lines of "name: value"')
    return content


def _to_calibration(content: dict[str, Any]) -> Calibration:
    model = content.get('distortion_model')
    if not isinstance(model, str) or model not in COEFFICIENTS:
        raise ConfigError(f'distortion_model: expected one of {", ".join(COEFFICIENTS)}')
    calibration = Calibration(
        _size(content, 'image_width'),
        _size(content, 'image_height'),
        model,
        _matrix(content, 'distortion_coefficients', COEFFICIENTS[model]),
        _matrix(content, 'camera_matrix', (9,)),
        _matrix(content, 'rectification_matrix', (9,)),
        _matrix(content, 'projection_matrix', (12,)),
    )
    _check_matrices(calibration)
    return calibration


def _size(content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
        found = f'got {value}' if type(value) is int else 'got no number'
        raise ConfigError(f'{name}: expected 1 to {LARGEST_SIDE} pixels, {found}')
    return value


def _matrix(content: dict[str, Any], name: str, lengths: tuple[int, ...]) -> tuple[float, ...]:
    matrix = content.get(name)
    data = matrix.get('data') if isinstance(matrix, dict) else None
    if not isinstance(data, list) or len(data) not in lengths:
        found = f'got {len(data)}' if isinstance(data, list) else 'got no list "data" of them'
        raise ConfigError(f'{name}: expected {" or ".join(map(str, lengths))} numbers, {found}')
    try:
        values = tuple(float(value) for value in data)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f'{name}: expected numbers, got something else') from None
    if not all(map(math.isfinite, values)):
        raise ConfigError(f'{name}: expected finite numbers, got others')
    return values


def _check_matrices(calibration: Calibration) -> None:
    """Refuse what projects nothing, as the zeros in the file of an uncalibrated camera do."""
    k, p, r = calibration.k, calibration.p, np.reshape(calibration.r, (3, 3))
    if min(k[0], k[4]) <= 0.0 or k[6:] != (0.0, 0.0, 1.0):
        raise ConfigError('camera_matrix: expected focal lengths above 0 and a last row of 0 0 1')
    if min(p[0], p[5]) <= 0.0 or p[8:] != (0.0, 0.0, 1.0, 0.0):
        raise ConfigError(
            'projection_matrix: expected focal lengths above 0 and a last row of 0 0 1 0'
        )
    if not np.allclose(r @ r.T, np.eye(3), atol=ROTATION_TOLERANCE) or np.linalg.det(r) < 0.0:
        raise ConfigError('rectification_matrix: expected a rotation')
