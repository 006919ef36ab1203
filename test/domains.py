"""ROS domains for runs of the suite that go on at the same time."""

import contextlib
import fcntl
import os
import tempfile

DOMAINS = range(1, 102)  # whose ports Linux gives to nobody else


def free_domain():
    """Return a ROS domain that no other run on this machine has; it is ours until we end."""
    for domain in DOMAINS:
        path = os.path.join(tempfile.gettempdir(), f'go2-test-domain-{domain}')
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # open as long as we live
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                continue
            return domain
    raise RuntimeError(f'expected a free ROS domain of {DOMAINS}, all are taken')
