"""Which of the addresses in a robot's answer ICE may try: pure, on the text of the SDP."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

MOST_CANDIDATES = 16  # of an answer; the largest known has two
_LINE = 'a=candidate:'


def usable(sdp: str, may_try: Callable[[str], bool]) -> tuple[str, int]:
    """
    Return the SDP with the candidates that may be tried, and how many others there were.

    Each section of a bundle repeats them; a candidate counts once.
    """
    kept: set[str] = set()
    dropped: set[str] = set()
    lines = []
    for line in sdp.splitlines(keepends=True):
        if line.startswith(_LINE) and not _keep(line.strip(), kept, may_try):
            dropped.add(line.strip())
            continue
        lines.append(line)
    return ''.join(lines), len(dropped)


def _keep(line: str, kept: set[str], may_try: Callable[[str], bool]) -> bool:
    if line in kept:
        return True
    words = line.split()
    if len(kept) == MOST_CANDIDATES or len(words) < 5 or not may_try(words[4]):
        return False
    kept.add(line)
    return True


def is_near(address: str, robot: str) -> bool:
    """Whether an address is the robot's own, or on its subnet: an access point has two."""
    try:
        tried, known = ip_address(address), ip_address(robot)
    except ValueError:  # a name: nobody on the LAN needs one
        return False
    return tried in ip_network(f'{known}/{24 if known.version == 4 else 64}', strict=False)
