"""
The shared memory through which raw pictures reach other processes, where Fast DDS is used.

With its defaults Fast DDS loses most 2.7 MB samples on the way to best-effort subscribers; with
``config/fastdds.xml`` each driver has a segment of 32 MiB in /dev/shm, and loses none. What the
driver takes there it takes care of: segments of killed drivers are removed, because nobody else
does, and where 32 MiB do not fit, as in a container of Docker, the segment is a smaller one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.utilities import get_rmw_implementation_identifier

logger = logging.getLogger(__name__)

FOLDER = Path('/dev/shm')
MIB = 1 << 20
PROFILES = {  # by the size of their segment [bytes]: for a dozen pictures of 1280x720, six, three
    32 * MIB: 'fastdds.xml',
    16 * MIB: 'fastdds_16_mib.xml',
    8 * MIB: 'fastdds_8_mib.xml',
}
LARGEST = max(PROFILES)
DEFAULT_SIZE = MIB // 2  # bytes, of Fast DDS's own; it makes one besides for this machine alone
OVERHEAD = 1.05  # of a file to the segment in it; 1.047 measured with Fast DDS 2.14 and 3.2
SPARE = 2 * MIB  # bytes; what other participants need, half a MiB each
SEGMENT = re.compile('fast(rtps|dds)_[0-9a-f]{16}')
OLD_VARIABLE, VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
ADVICE = 'give the container more: docker run --shm-size=512m, or ipc: host'


@dataclass(frozen=True)
class SharedMemory:
    """
    What Fast DDS was told.

    Attributes:
        profile: the file that tells it; None: it keeps its own defaults.
        size: of the segment for pictures [bytes]; 0: there is none.
        free: in /dev/shm before the segment was made [bytes].
        removed: how many segments of killed drivers were removed.
    """

    profile: Path | None
    size: int
    free: int
    removed: int = 0

    def __str__(self) -> str:
        if self.size == LARGEST:
            return f'a segment of {LARGEST // MIB} MiB'
        space = f'{self.free // MIB} MiB are free in {FOLDER}, {LARGEST // MIB} are wanted'
        if not self.size:
            return f'{space}: most raw pictures will be lost on their way; {ADVICE}'
        return f'{space}: the segment has {self.size // MIB} MiB; {ADVICE}'

    def state(self) -> tuple[bytes, str, dict[str, object]]:
        """Return level, message and values for the diagnostics."""
        level = DiagnosticStatus.OK if self.size else DiagnosticStatus.WARN
        return level, str(self), {'segment [MiB]': self.size // MIB}

    def tell(self) -> None:
        """Say once what was found, and what to do about it."""
        if self.removed:
            logger.info('%d segments of killed processes removed from %s', self.removed, FOLDER)
        if self.size == LARGEST:
            logger.info('Fast DDS profile for large messages: %s', self.profile)
        else:
            logger.warning('shared memory: %s', self)


def use_large_shared_memory(profiles: Path) -> SharedMemory | None:
    """
    Let Fast DDS carry raw images to every subscriber on this machine; before ``rclpy.init``.

    Nothing is changed where the user has a profile of their own, or another middleware.

    Args:
        profiles: the folder of ``PROFILES``.

    Returns:
        What was found and done; None if nothing was changed.
    """
    variables = profile_variables()
    if not variables or any(os.environ.get(name) for name in variables):
        return None
    removed = remove_leftovers()
    status = os.statvfs(FOLDER)
    free = status.f_bavail * status.f_frsize
    size = next((each for each in PROFILES if each * OVERHEAD + SPARE <= free), 0)
    if not size:
        return SharedMemory(None, 0, free, removed)
    profile = profiles / PROFILES[size]
    os.environ[variables[0]] = str(profile)
    return SharedMemory(profile, size, free, removed)


def profile_variables() -> tuple[str, ...]:
    """Return the variables in which the middleware looks for a profile, the preferred first."""
    if not get_rmw_implementation_identifier().startswith('rmw_fastrtps'):  # loads it, too
        return ()
    return variables_read_by(Path('/proc/self/maps').read_text())


def variables_read_by(maps: str) -> tuple[str, ...]:
    """
    Return the variables that Fast DDS reads, by the libraries in ``maps``.

    Before 3 it knows the old one alone; since then it prefers the new one, and warns of the old.
    """
    return (VARIABLE, OLD_VARIABLE) if 'libfastdds.so' in maps else (OLD_VARIABLE,)


def remove_leftovers(folder: Path = FOLDER) -> int:
    """
    Remove segments of drivers that were killed; return how many.

    Only those of a size that a driver makes, and whose owner's lock is free: nothing that lives.
    """
    removed = 0
    with suppress(OSError):
        for path in list(folder.iterdir()):
            removed += SEGMENT.fullmatch(path.name) is not None and _remove_if_dead(path)
    return removed


def _remove_if_dead(segment: Path) -> bool:
    lock = segment.with_name(f'{segment.name}_el')
    with suppress(OSError), _held(lock):  # it is held, gone, or another user's
        if _is_ours(segment.stat().st_size):
            segment.unlink()
            lock.unlink()
            return True
    return False


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold the lock of a segment as its owner does; raises OSError if that lives."""
    file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def _is_ours(size: int) -> bool:
    return any(each <= size <= each * OVERHEAD for each in (*PROFILES, DEFAULT_SIZE))
