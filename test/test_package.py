import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
SETUP = (ROOT / 'setup.py').read_text()
SCRIPTS = re.findall(r"'(\w+) = ([\w.]+):(\w+)'", SETUP)


def test_the_manifest_and_setup_agree():
    assert MANIFEST.findtext('version') == re.search(r"version='([^']+)'", SETUP)[1]
    assert MANIFEST.findtext('license') == re.search(r"license='([^']+)'", SETUP)[1]
    assert MANIFEST.get('format') == '3'
    assert re.fullmatch(r'\S+@\S+\.\w+', MANIFEST.find('maintainer').get('email'))


def test_there_is_a_driver_and_a_simulated_robot():
    assert {name for name, _, _ in SCRIPTS} >= {'driver', 'sim_robot'}


@pytest.mark.parametrize(('name', 'module', 'function'), SCRIPTS)
def test_every_executable_has_its_function(name, module, function):
    assert callable(getattr(import_module(module), function)), name


def test_colcon_builds_the_executables_and_the_files(tmp_path):
    pytest.importorskip('colcon_core')
    built = subprocess.run(
        [sys.executable, '-c', 'from colcon_core.command import main; raise SystemExit(main())',
         '--log-base', str(tmp_path / 'log'), 'build', '--paths', str(ROOT),
         '--build-base', str(tmp_path / 'build'), '--install-base', str(tmp_path / 'install')],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    installed = tmp_path / 'install' / 'go2_webrtc_driver'
    for name, _, _ in SCRIPTS:
        assert (installed / 'lib' / 'go2_webrtc_driver' / name).is_file()
    share = installed / 'share' / 'go2_webrtc_driver'
    for file in (
        'package.xml',
        'launch/driver.launch.py',
        'launch/sim.launch.py',
        'config/go2.yaml',
        'config/fastdds.xml',
        'config/camera_1280x720.yaml',
    ):
        assert (share / file).is_file(), file
