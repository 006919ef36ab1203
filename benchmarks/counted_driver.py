"""The driver itself; on SIGUSR1 it prints what it holds, as a line of JSON."""

import asyncio
import gc
import json
import os
import signal
import sys
import threading

from go2_webrtc_driver.ros import main as program

MARK = 'COUNTS '


def counts():
    """Return threads, tasks of all loops, file descriptors, and resident memory [bytes]."""
    gc.collect()
    loops = [each for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)]
    with open('/proc/self/statm') as file:
        pages = int(file.read().split()[1])
    return {
        'threads': len(os.listdir('/proc/self/task')),
        'Python threads': sorted(each.name for each in threading.enumerate()),
        'tasks': sorted(
            task.get_coro().__qualname__
            for loop in loops
            if not loop.is_closed()
            for task in asyncio.all_tasks(loop)
        ),
        'file descriptors': len(os.listdir('/proc/self/fd')),
        'memory': pages * os.sysconf('SC_PAGE_SIZE'),
    }


if __name__ == '__main__':
    signal.signal(signal.SIGUSR1, lambda *_: print(MARK + json.dumps(counts()), flush=True))
    sys.exit(program.main())
