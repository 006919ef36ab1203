"""Where the files of the package are that are not code: config, launch, urdf."""

from __future__ import annotations

import site
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from ..errors import ConfigError

PACKAGE = 'go2_webrtc_driver'


def share_directory() -> Path:
    """
    Return where the package's files are installed, or the checkout it runs from.

    Raises:
        ConfigError: they are nowhere.
    """
    places = list(_places())
    for place in places:
        if (place / 'config').is_dir():
            return place
    raise ConfigError(f'expected the config files in one of {", ".join(map(str, places))}')


def _places() -> Iterator[Path]:
    """Yield where colcon, pip in an environment and ``pip --user`` install; the checkout."""
    with suppress(PackageNotFoundError, OSError):  # not by colcon, or no ament environment
        yield Path(get_package_share_directory(PACKAGE))
    for base in (sysconfig.get_path('data'), site.getuserbase()):
        yield Path(base, 'share', PACKAGE)
    yield Path(__file__).resolve().parents[2]
