"""``driver``: checks whether the node can run here, then runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution

OLDER_LIBRARY = 'go2-webrtc-connect'
LOG_VARIABLES = ('ROS_LOG_DIR', 'ROS_HOME', 'HOME')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node; return its exit status, 1 if what it needs is missing."""
    if trouble := what_is_missing(os.environ):
        _say(trouble)
        return 1
    if warning := namesake():
        _say(f'warning: {warning}')
    from .ros.main import main as run_node

    return run_node(arguments)


def what_is_missing(environment: Mapping[str, str]) -> str:
    """Return in one line what rclpy would end with a traceback for; empty if it can run."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        reason = str(error).partition('\n')[0]
        return (
            f'{sys.executable} cannot import rclpy ({reason}): source a ROS 2 installation and '
            f'use its Python, or, in the checkout, pip install ".[ros]"'
        )
    if not any(environment.get(name) for name in LOG_VARIABLES):
        return f'expected one of {", ".join(LOG_VARIABLES)}: ROS writes its logs there'
    return ''


def namesake() -> str:
    """Return in one line where a library is that installs our name too; empty if nowhere."""
    try:
        where = distribution(OLDER_LIBRARY).locate_file('')
    except PackageNotFoundError:
        return ''
    return (
        f'{OLDER_LIBRARY} in {where} has a Python package of the name go2_webrtc_driver, too, and '
        f'hides this one or breaks it; unless you need it: pip uninstall {OLDER_LIBRARY}'
    )


def _say(text: str) -> None:
    sys.stderr.write(f'driver: {text}\n')


if __name__ == '__main__':
    sys.exit(main())
