"""
Tells whether the installed aiortc loses its connect race, and whether the patch closes it.

``ros2 run go2_webrtc_driver check_aiortc`` or ``python -m go2_webrtc_driver.checks.check_aiortc``:
no robot, no ROS, under 30 s, on the loopback interface. Exit status 0: the driver does not
lose the race with this aiortc; 1: it does; 2: that could not be found out.
``docs/aiortc-race.md`` tells what the race is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

PROBE = 'go2_webrtc_driver.checks.race_probe'
SWITCH = 'GO2_AIORTC_PATCH'
ATTEMPTS = 10
TIMEOUT = 25.0  # s, for all attempts; 10 take about 10 s on two cores
GOOD, BAD, UNKNOWN = 0, 1, 2


@dataclass(frozen=True)
class Finding:
    """
    What the attempts of one process brought.

    Attributes:
        aiortc: version; empty if not even that is known.
        attempts: how many connections were tried.
        lost: how many of them lost the race.
        refused: why the patch refused this aiortc; empty if it did not.
        trouble: why the finding says nothing; empty if it does.
    """

    aiortc: str = ''
    attempts: int = 0
    lost: int = 0
    refused: str = ''
    trouble: str = ''

    @property
    def clean(self) -> bool:
        """Whether it is certain that no attempt lost the race."""
        return not self.trouble and not self.refused and self.lost == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, print the table, and return the exit status."""
    options = _parse(arguments)
    is_off = os.environ.get(SWITCH, '').lower() == 'off'
    end = time.monotonic() + TIMEOUT
    probes = [_start(options.attempts, patched=False)]
    if not (options.no_patch or is_off):
        probes.append(_start(options.attempts, patched=True))
    found = [_finding(probe, end) for probe in probes]
    for name, value in table(*found):
        sys.stdout.write(f'{name:<21}{value}\n')
    if is_off:
        sys.stdout.write(f'the driver does not patch: {SWITCH}=off\n')
    return status(found[-1])


def status(driver: Finding) -> int:
    """Return the exit status for what was found in the driver's own situation."""
    if driver.trouble:
        return UNKNOWN
    return GOOD if driver.clean else BAD


def table(without: Finding, with_patch: Finding | None = None) -> list[tuple[str, str]]:
    """Return the rows to print; ``with_patch`` is None if the patch was not tried."""
    version = without.aiortc or (with_patch.aiortc if with_patch else '')
    rows = [
        ('aiortc', version or 'not found'),
        ('has the race', _explained('yes' if without.lost else 'no', without)),
    ]
    if with_patch is None:
        return rows
    needed = 'unknown' if without.trouble else 'no' if without.clean else 'yes'
    return [
        *rows,
        ('the patch closes it', _explained('yes' if with_patch.clean else 'no', with_patch)),
        ('the patch is needed', needed),
    ]


def _explained(answer: str, finding: Finding) -> str:
    if finding.trouble:
        return f'unknown: {finding.trouble}'
    if finding.refused:
        return f'no: {finding.refused}'
    return f'{answer} (lost in {finding.lost} of {finding.attempts} attempts)'


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='check_aiortc', description=(__doc__ or '').strip().partition('\n')[0]
    )
    parser.add_argument('--no-patch', action='store_true', help='show the bug: do not patch')
    parser.add_argument('--attempts', type=_positive, default=ATTEMPTS, help=f'default {ATTEMPTS}')
    # ros2 run and launch files may add arguments of their own.
    return parser.parse_known_args(arguments)[0]


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= ATTEMPTS:
        raise argparse.ArgumentTypeError(f'expected 1 to {ATTEMPTS}, got {text}')
    return number


def _start(attempts: int, *, patched: bool) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if not patched:
        environment[SWITCH] = 'off'
    return subprocess.Popen(
        [sys.executable, '-m', PROBE, str(attempts)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _finding(process: subprocess.Popen[str], end: float) -> Finding:
    """Wait for a probe until ``end`` [s, monotonic] and read what it found."""
    try:
        output, errors = process.communicate(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Finding(trouble=f'no answer within {TIMEOUT:g} s')
    try:
        return _parse_finding(json.loads(output))
    except ValueError:
        last = (errors.strip().splitlines() or ['it said nothing'])[-1]
        return Finding(trouble=f'the probe ended with status {process.returncode}: {last}')


def _parse_finding(found: dict[str, Any]) -> Finding:
    if 'refused' in found:
        return Finding(found['aiortc'], refused=found['refused'])
    finding = Finding(found['aiortc'], found['attempts'], found['lost'])
    if finding.lost or (found['media'] == finding.attempts and not found['other_errors']):
        return finding
    silent = f'no media in {finding.attempts - found["media"]} of {finding.attempts} attempts'
    return replace(finding, trouble='; '.join([silent, *found['other_errors']]))


if __name__ == '__main__':
    sys.exit(main())
