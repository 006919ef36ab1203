"""What colcon, ROS and pip are told about the package agrees with what is in it."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import EntryPoint
from pathlib import Path
from xml.etree import ElementTree

import pytest

NAME = 'go2_webrtc_driver'
ROOT = Path(__file__).parent.parent
PIP_NAMES = {'async_timeout': 'async-timeout', 'cv2': 'opencv-python', 'yaml': 'PyYAML'}
COLCON = 'from colcon_core.command import main; raise SystemExit(main())'


@pytest.fixture
def setup(monkeypatch):
    """Return what setup.py passes to setuptools."""
    given = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('setuptools.setup', given.update)
    runpy.run_path('setup.py')
    return given


@pytest.fixture
def manifest():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Build with colcon, as a user does, and return where it installed the package."""
    base = tmp_path_factory.mktemp('colcon')
    places = [f'--{each}-base={base / each}' for each in ('build', 'install')]
    command = [sys.executable, '-c', COLCON, f'--log-base={base / "log"}', 'build', *places]
    done = subprocess.run(
        [*command, '--paths', str(ROOT), '--event-handlers', 'console_direct+'],
        cwd=base,
        env={k: v for k, v in os.environ.items() if not k.endswith('_PREFIX_PATH')},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Failed to parse' not in done.stdout + done.stderr
    return base / 'install' / NAME


@pytest.fixture(scope='module')
def environment_of_pip(tmp_path_factory):
    """Install a wheel of the package into an environment without rclpy, and return where."""
    base = tmp_path_factory.mktemp('pip')
    source, venv = base / 'source', base / 'venv'
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns('.*', 'build', 'install', 'log'))
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    wheel = ['wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(base), str(source)]
    run(*pip, *wheel)
    run(sys.executable, '-m', 'venv', '--without-pip', str(venv))
    (packages,) = venv.glob('lib/python3*/site-packages')
    (packages / 'rclpy.py').write_text('raise ModuleNotFoundError("No module named \'rclpy\'")\n')
    (packages / 'the_others.pth').write_text(sysconfig.get_path('purelib'))
    (file,) = base.glob('*.whl')
    run(*pip, '--python', str(venv / 'bin/python'), 'install', '--no-deps', str(file))
    return venv


def without_ros():
    return {k: v for k, v in os.environ.items() if not k.endswith(('_PREFIX_PATH', 'PYTHONPATH'))}


def run(*command, **options):
    """Run a command with nothing of this environment's ROS; return what it wrote to stdout."""
    done = subprocess.run(command, env=without_ros(), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scripts(setup):
    return dict(each.split(' = ') for each in setup['entry_points']['console_scripts'])


def test_both_manifests_agree(setup, manifest):
    for element, keyword in (
        ('name', 'name'), ('version', 'version'), ('license', 'license'),
        ('maintainer', 'maintainer'),
    ):  # fmt: skip
        assert manifest.findtext(element) == setup[keyword]
    assert manifest.find('maintainer').get('email') == setup['maintainer_email']


def test_every_executable_can_be_loaded(setup):
    assert {'driver', 'sim_robot'} <= set(scripts(setup))
    for name, target in scripts(setup).items():
        assert callable(EntryPoint(name, target, 'console_scripts').load())


def test_every_import_is_declared_for_rosdep_or_pip(manifest):
    keys = {each.text for each in manifest.iter('exec_depend')}
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    from_pip = {re.split('[<>=]', line)[0] for line in lines if not line.startswith('#')}
    for file in [*ROOT.glob('launch/*.py'), *ROOT.glob(f'{NAME}/**/*.py')]:
        for module in third_party_imports(file):
            assert {module, PIP_NAMES.get(module, module)} & (keys | from_pip), (file, module)


def third_party_imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module]
        else:
            continue
        for top in (module.partition('.')[0] for module in modules):
            if top not in sys.stdlib_module_names | {'__future__', NAME}:
                yield top


def test_colcon_installs_the_executables_where_ros2_run_looks(installed, setup):
    there = {each.name for each in (installed / 'lib' / NAME).iterdir()}
    assert there == set(scripts(setup))


def test_colcon_installs_every_file_that_is_not_code(installed):
    share = installed / 'share' / NAME
    for folder in ('launch', 'config', 'urdf'):
        there = {each.name for each in (ROOT / folder).iterdir() if each.is_file()}
        assert {each.name for each in (share / folder).iterdir()} == there
    assert (share / 'package.xml').is_file()
    assert (share / 'hook' / 'ament_prefix_path.sh').is_file()
    assert (installed / 'share/ament_index/resource_index/packages' / NAME).is_file()
    assert list(installed.glob(f'lib/python3*/site-packages/{NAME}/py.typed'))


def test_an_installed_executable_starts(installed):
    environment = {**os.environ, 'PYTHONPATH': str(next(installed.glob('lib/*/site-packages')))}
    done = subprocess.run(
        [installed / 'lib' / NAME / 'sim_robot', '--help'],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '--ip' in done.stdout


def test_the_executables_follow_a_virtual_environment(installed):
    """ROS's own colcon is of the system's Python, which does not see what pip has installed."""
    for file in (installed / 'lib' / NAME).iterdir():
        assert file.read_text().startswith('#!/usr/bin/env python3\n')


def test_pip_is_told_what_the_package_needs(setup):
    for kind, given in (
        ('', setup['install_requires']), ('-ros', setup['extras_require']['ros']),
        ('-dev', setup['extras_require']['test']),
    ):  # fmt: skip
        lines = (ROOT / f'requirements{kind}.txt').read_text().splitlines()
        assert given == [line for line in lines if line and not line.startswith('#')]
    assert 'include requirements*.txt' in (ROOT / 'MANIFEST.in').read_text().splitlines()


@pytest.mark.parametrize('start', [['bin/sim_robot'], ['bin/python', '-m', f'{NAME}.sim']])
def test_a_robot_installed_by_pip_starts_without_rclpy(environment_of_pip, start):
    command = [str(environment_of_pip / start[0]), *start[1:], '--ip', '127.0.0.78']
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd='/', env=without_ros()
    ) as robot:
        said = robot.stdout.readline()
        robot.terminate()
    assert 'listens on 127.0.0.78' in said


def test_what_pip_installs_finds_its_files(environment_of_pip):
    find = f'from {NAME}.ros.share import share_directory; print(share_directory())'
    share = Path(run(str(environment_of_pip / 'bin/python'), '-c', find, cwd='/').strip())
    assert share == environment_of_pip / 'share' / NAME
    for folder in ('launch', 'config', 'urdf'):
        there = {each.name for each in (ROOT / folder).iterdir() if each.is_file()}
        assert there <= {each.name for each in (share / folder).iterdir()}


def test_whatever_is_not_of_ros_can_be_imported_without_it():
    modules = [
        '.'.join((NAME, *path.relative_to(ROOT / NAME).with_suffix('').parts))
        for path in (ROOT / NAME).rglob('*.py')
        if path.relative_to(ROOT / NAME).parts[0] != 'ros' and path.name != '__init__.py'
    ]
    block = "import sys; sys.modules['rclpy'] = sys.modules['ament_index_python'] = None"
    code = '; '.join((block, *(f'import {each}' for each in modules)))
    assert run(sys.executable, '-c', code, cwd=ROOT) == ''


def test_two_runs_of_the_suite_have_ros_domains_of_their_own():
    mine = int(os.environ['ROS_DOMAIN_ID'])
    script = 'import domains; print(domains.free_domain())'
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    theirs = subprocess.run(
        [sys.executable, '-c', script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert int(theirs) != mine
