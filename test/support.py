"""What tests share: processes of the package, bounded waits, scripted robots."""

import asyncio
import contextlib
import functools
import inspect
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from secret_watch import SECRETS

from go2_webrtc_driver.signaling.lan import STA_OFFER, LanSignaling
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

_addresses = itertools.count()
PATIENCE = 20.0  # s; a bound that only a broken program reaches
INSIDE = 'GO2_TEST_INSIDE_NAMESPACE'


def free_address():
    """Return a loopback address that no other test, of this run or another one, uses."""
    number = next(_addresses)
    high, low = divmod(os.getpid() % 16_000, 64)
    return f'127.{1 + high}.{4 * low + number // 250}.{1 + number % 250}'


def lan(ip, device_key=None):
    """Return the signaling for one link to a robot at ``ip``."""
    SECRETS.learn(device_key or b'', 'the AES key')
    return LanSignaling(ip, '', device_key, STA_OFFER)


@contextlib.asynccontextmanager
async def simulated_robot(*, ip=None, **options):
    """Run a simulated Go2 on the current loop; yields it and its address."""
    SECRETS.learn(options.get('device_key', b''), 'the AES key')
    go2 = SimulatedGo2(Options(ip=ip or free_address(), **options))
    await go2.start()
    try:
        yield go2, go2.ip
    finally:
        await go2.stop()


@contextlib.contextmanager
def process(module, *arguments, ready=None, env=None):
    """Run a module of the package; its output is collected; it ends at the latest with us."""
    command = [sys.executable, '-u', '-m', module, *arguments]
    environment = {**os.environ, **(env or {})}
    SECRETS.learn_process(arguments, environment)
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        collect_output(started)
        if ready is not None:
            wait_for_output(started, ready)
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        end_output(started)


def collect_output(started):
    """Begin to collect the output of a process in its ``text``."""
    os.set_blocking(started.stdout.fileno(), False)
    started.text = ''


def read_output(started):
    # Nothing there: a non-blocking text read of None, which 3.14 calls by its name.
    with contextlib.suppress(TypeError, BlockingIOError):
        started.text += started.stdout.read() or ''
    seen = getattr(started, 'seen', 0)
    started.seen = SECRETS.look_at_growing(started.text, seen, 'the output of a process')
    return started.text


def end_output(started):
    """Read the rest of the output of a process that has ended."""
    started.wait()
    read_output(started)
    started.stdout.close()


def wait_for_output(started, text):
    wait_until(lambda: text in read_output(started) or started.poll() is not None)
    assert text in read_output(started), f'wanted {text!r}, got:\n{started.text}'


def interrupt(started, number=signal.SIGINT):
    """Send a signal and return (exit status, seconds it took, whole output)."""
    before = time.monotonic()
    started.send_signal(number)
    wait_until(lambda: (read_output(started), started.poll() is not None)[1])
    return started.returncode, time.monotonic() - before, read_output(started)


def wait_until(condition, timeout=PATIENCE, step=None):
    """Wait until ``condition()`` holds, running ``step()`` meanwhile."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        if step:
            step()
        else:
            time.sleep(0.01)


async def until(condition, timeout=PATIENCE):
    """Wait on the loop until ``condition()`` holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        await asyncio.sleep(0.01)


def in_own_network(*addresses):
    """Run a test in a network namespace of its own, with these addresses on its loopback."""
    steps = ['ip link set lo up', 'ip route add 224.0.0.0/4 dev lo']
    steps += [f'ip address add {address}/24 dev lo' for address in addresses]
    return _in_own('--net', 'ip', steps)


def in_own_shared_memory(size):
    """Run a test with a /dev/shm of its own; ``size`` as mount takes it: '64m'."""
    return _in_own('--mount', 'mount', [f'mount -t tmpfs -o size={size} tmpfs /dev/shm'])


def _in_own(kind, tool, steps):
    """Run a test in a namespace of its own, of a kind of unshare(1), after these steps."""

    def decorate(test):
        @functools.wraps(test)
        def run():
            if os.environ.get(INSIDE) == str(os.getpid()):
                test()
            else:
                name = f'{inspect.getfile(test)}::{test.__name__}'
                _run_in_a_namespace(name, kind, tool, steps)

        return run

    return decorate


def _run_in_a_namespace(test, kind, tool, steps):
    if not (shutil.which('unshare') and shutil.which(tool)):
        pytest.skip(f'unshare (util-linux) or {tool} is not installed')
    unshare = ['unshare', kind] + (['--map-root-user'] if os.geteuid() else [])
    if subprocess.run([*unshare, 'true'], capture_output=True).returncode:
        pytest.skip('this machine does not let us make a namespace')
    steps = [*steps, f'export {INSIDE}=$$', 'exec "$@"']
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', test]
    done = subprocess.run(
        [*unshare, 'sh', '-c', ' && '.join(steps), 'sh', *command],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '1 passed' in done.stdout


def warned(caplog, text):
    """Return how often a text was logged for a person to see."""
    return sum(r.levelno >= logging.WARNING and text in r.getMessage() for r in caplog.records)


def source_of(received):
    """Return the robot's topic of what a link has received; empty if it has none."""
    return getattr(received, 'source', getattr(received, 'topic', ''))
