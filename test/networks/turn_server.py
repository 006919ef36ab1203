"""A real TURN server, coturn, in a process of its own on the loopback interface."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = 'turnserver'  # of the Debian package coturn
READY = ('Total General servers', 'Total relay threads')  # of 4.6, of 4.18


def is_installed() -> bool:
    """Whether there is a coturn on this machine."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def turn_server(ip: str, username: str, password: str) -> Iterator[tuple[str, int]]:
    """
    Run a TURN server with long-term credentials; yields its address and UDP port.

    Args:
        ip: loopback address to listen on, and of the relays.
        username: of its one account.
        password: of the account.

    Raises:
        OSError: there is no coturn, or it did not start.
    """
    port = _free_port(ip)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile('w+') as log:
        command = [PROGRAM, *_arguments(ip, port, f'{username}:{password}', Path(folder))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            if not any(ready in line for line in process.stdout for ready in READY):
                raise OSError(f'{PROGRAM} ended with status {process.wait()}')
            yield ip, port
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _arguments(ip: str, port: int, account: str, folder: Path) -> list[str]:
    return [
        # Without a certificate there is no DTLS either; newer ones have no option for it.
        '-n', '--no-cli', '--no-tls', '--no-tcp', '--no-tcp-relay',
        '--lt-cred-mech', '--realm', 'go2', '--user', account,
        '--listening-ip', ip, '--listening-port', str(port), '--relay-ip', ip,
        '--allow-loopback-peers', '--log-file', 'stdout',
        '--pidfile', str(folder / 'pid'), '--userdb', str(folder / 'users'),
    ]  # fmt: skip


def _free_port(ip: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port
