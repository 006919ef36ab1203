"""
Tries each aiortc minor since 1.9 with the race probe, unpatched and patched.

Every version gets an environment of its own under ``--cache`` (kept, so a second run is
quick), installed from PyPI with what pip resolves for this Python. Prints a markdown
table. Takes a few minutes, so it is no part of the tests:

    python benchmarks/aiortc_versions.py [--attempts 10] [--cache DIRECTORY] [1.16.0 ...]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

VERSIONS = ['1.9.0', '1.10.1', '1.11.0', '1.12.0', '1.13.0', '1.14.0', '1.15.0', '1.16.0']
PROBE = 'go2_webrtc_driver.checks.race_probe'
REPOSITORY = Path(__file__).resolve().parent.parent
INSTALL_TIMEOUT = 300.0  # s
PROBE_TIMEOUT = 120.0  # s


def main() -> int:
    options = _parse()
    today = datetime.date.today().isoformat()
    print(f'{today}, Python {platform.python_version()}, {options.attempts} attempts a cell\n')
    print('| aiortc | aioice | av | unpatched: lost | first frame [s] | patched: lost '
          '| first frame [s] |\n|---|---|---|---|---|---|---|')  # fmt: skip
    good = [_try(version, options) for version in options.versions]
    return 0 if all(good) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().partition('\n')[0])
    parser.add_argument('versions', nargs='*', default=VERSIONS)
    parser.add_argument('--attempts', type=int, default=10)
    cache = Path(tempfile.gettempdir()) / 'aiortc-versions'
    parser.add_argument('--cache', type=Path, default=cache, help=f'default {cache}')
    return parser.parse_args()


def _try(version: str, options: argparse.Namespace) -> bool:
    """Print the row of one version and say whether the patch closed the race there."""
    try:
        python = _environment(version, options.cache)
        unpatched = _probe(python, options.attempts, 'off')
        patched = _probe(python, options.attempts, 'on')
    except (subprocess.SubprocessError, ValueError) as error:
        print(f'| {version} | not measured: {_reason(error)} | | | | | |', flush=True)
        return False
    cells = [version, *_libraries(python), *_cells(unpatched), *_cells(patched)]
    print(f'| {" | ".join(cells)} |', flush=True)
    return bool(patched.get('media') == options.attempts and patched['lost'] == 0)


def _environment(version: str, cache: Path) -> Path:
    """Return the Python of an environment with this aiortc, made if it is not there."""
    home = cache / version
    python = home / 'bin' / 'python'
    if not python.exists():
        venv.create(home, with_pip=True)
    command = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check',
               '--only-binary=:all:', f'aiortc=={version}']  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    return python


def _probe(python: Path, attempts: int, switch: str) -> dict[str, Any]:
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY), 'GO2_AIORTC_PATCH': switch}
    done = subprocess.run(
        [python, '-m', PROBE, str(attempts)], check=True, capture_output=True, text=True,
        timeout=PROBE_TIMEOUT, env=environment,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _libraries(python: Path) -> list[str]:
    code = 'from importlib.metadata import version as v; print(v("aioice"), v("av"))'
    done = subprocess.run([python, '-c', code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def _cells(found: dict[str, Any]) -> list[str]:
    if 'refused' in found:
        return ['refused', '-']
    others = f', others: {found["other_errors"]}' if found['other_errors'] else ''
    return [f'{found["lost"]} of {found["attempts"]}{others}', f'{found["first_frame"]}']


def _reason(error: Exception) -> str:
    said = (getattr(error, 'stderr', '') or str(error)).strip().splitlines()
    return said[-1] if said else repr(error)


if __name__ == '__main__':
    sys.exit(main())
