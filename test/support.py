"""What tests share: processes of the package, bounded waits, scripted robots."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time

from go2_webrtc_driver.sim.peer import Options, SimulatedGo2

_addresses = itertools.count(10)
PATIENCE = 20.0  # s; a bound that only a broken program reaches


def free_address():
    """Return a loopback address that no other test uses."""
    return f'127.0.{1 + os.getpid() % 200}.{next(_addresses)}'


@contextlib.asynccontextmanager
async def simulated_robot(**options):
    """Run a simulated Go2 on the current loop."""
    go2 = SimulatedGo2(Options(ip=free_address(), **options))
    await go2.start()
    try:
        yield go2, go2._options.ip
    finally:
        await go2.stop()


@contextlib.contextmanager
def process(module, *arguments, ready=None, env=None):
    """Run a module of the package; its output is collected; it ends at the latest with us."""
    command = [sys.executable, '-u', '-m', module, *arguments]
    environment = {**os.environ, **(env or {})}
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    os.set_blocking(started.stdout.fileno(), False)
    started.text = ''
    try:
        if ready is not None:
            wait_for_output(started, ready)
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()
        started.stdout.close()


def read_output(started):
    with contextlib.suppress(TypeError):  # nothing there: a non-blocking text read of None
        started.text += started.stdout.read() or ''
    return started.text


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
