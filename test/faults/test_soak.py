"""The short form of the soak: a fault every 20 s, and nothing grows."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_minute_of_faults_leaves_the_driver_as_it_was():
    command = [sys.executable, 'benchmarks/soak.py', 'faults', '--seconds', '60']
    paths = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, 'PYTHONPATH': paths}, capture_output=True,
        text=True, timeout=180,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert '| yes |' in done.stdout
