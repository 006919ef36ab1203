"""``make`` on a machine: the environment it makes, keeps and goes on with."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
OWN = (
    'go2_webrtc_driver', 'resource', 'launch', 'config', 'urdf', 'tools', 'setup.py', 'setup.cfg',
    'package.xml',
)  # fmt: skip
WHEEL = 'small-1-py3-none-any.whl'
NOT_OURS = {'PYTHON', 'PYTHONPATH', 'VIRTUAL_ENV', 'AMENT_PREFIX_PATH', 'COLCON_PREFIX_PATH'}

pytestmark = pytest.mark.skipif(
    bool(os.environ.get('ROS_DISTRO')), reason='about the environment without a ROS installation'
)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A checkout whose only requirement is a wheel that is not there yet."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in OWN:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for kind in ('', '-ros', '-dev'):
        (folder / f'requirements{kind}.txt').write_text('')
    (folder / 'requirements.txt').write_text('small==1\n')
    return folder


def set_up(checkout, *arguments, **environment):
    """Run the set-up as from a terminal without this environment; nothing is downloaded."""
    kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
    path = os.pathsep.join(
        each for each in kept['PATH'].split(os.pathsep) if each != str(Path(sys.prefix, 'bin'))
    )
    return subprocess.run(
        [checkout / 'tools' / 'setup.sh', *arguments],
        env={
            **kept,
            'PATH': path,
            'PIP_NO_INDEX': '1',
            'PIP_FIND_LINKS': str(checkout),
            **environment,
        },
        capture_output=True,
        text=True,
    )


def packages_of(checkout):
    (folder,) = checkout.glob('.venv/lib/python3*/site-packages')
    return folder


def add_what_is_missing(checkout):
    """Lay down the wheel, and let the environment import what this one has."""
    with zipfile.ZipFile(checkout / WHEEL, 'w') as archive:
        archive.writestr('small.py', '')
        about = 'small-1.dist-info'
        archive.writestr(f'{about}/METADATA', 'Metadata-Version: 2.1\nName: small\nVersion: 1\n')
        archive.writestr(f'{about}/WHEEL', 'Wheel-Version: 1.0\nTag: py3-none-any\n')
        archive.writestr(f'{about}/RECORD', '')
    (packages_of(checkout) / 'outer.pth').write_text(sysconfig.get_path('purelib'))


@pytest.fixture(scope='module')
def interrupted(checkout, tmp_path_factory):
    """What the set-up said that could not install the wheel, with rubbish in PYTHONPATH."""
    rubbish = tmp_path_factory.mktemp('rubbish')
    (rubbish / 'json.py').write_text('raise SystemExit("PYTHONPATH has leaked")\n')
    base = subprocess.run(
        [sys.executable, '-ISc', 'import sys; print(sys._base_executable)'],
        capture_output=True,
        text=True,
        check=True,
    )
    return set_up(checkout, PYTHON=os.path.realpath(base.stdout.strip()), PYTHONPATH=str(rubbish))


@pytest.fixture(scope='module')
def made(checkout, interrupted):
    """What the set-up said that found everything, after the one that did not."""
    half = packages_of(checkout) / 'half_installed-1.dist-info'
    half.mkdir()
    (half / 'METADATA').write_text('Metadata-Version: 2.1\nName: half-installed\nVersion: 1\n')
    add_what_is_missing(checkout)
    return set_up(checkout)


def test_a_set_up_that_cannot_go_on_says_what_did_not_work(interrupted):
    assert interrupted.returncode == 1
    assert 'making the virtual environment' in interrupted.stdout
    assert 'No matching distribution found for small==1' in interrupted.stdout
    assert interrupted.stderr.startswith('setup: that did not work: install_wheels')
    assert 'leaked' not in interrupted.stdout


def test_an_interrupted_set_up_goes_on_where_it_stopped(checkout, made):
    assert made.returncode == 0, made.stdout + made.stderr
    assert 'Going on with the set-up that was interrupted.' in made.stdout
    assert 'making the virtual environment' not in made.stdout
    assert (packages_of(checkout) / 'small.py').is_file()
    assert (checkout / 'install' / 'setup.bash').is_file()


def test_what_pip_was_interrupted_in_does_not_count_as_installed(checkout, made):
    assert not (packages_of(checkout) / 'half_installed-1.dist-info').exists()


def test_a_second_set_up_does_nothing_whatever_python3_is_now(checkout, made, tmp_path):
    other = tmp_path / 'python3'
    other.write_text('#!/bin/sh\nexit 7\n')
    other.chmod(0o755)
    again = set_up(checkout, PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    assert (again.returncode, again.stdout, again.stderr) == (0, '', '')


def test_a_set_up_inside_its_own_environment_leaves_it_alone(checkout, made):
    inside = {
        'VIRTUAL_ENV': str(checkout / '.venv'),
        'PATH': f'{checkout / ".venv/bin"}{os.pathsep}{os.environ["PATH"]}',
    }
    for python in ({}, {'PYTHON': 'python3'}):
        again = set_up(checkout, **inside, **python)
        assert (again.returncode, again.stdout, again.stderr) == (0, '', '')


def test_the_set_up_warns_of_the_library_that_has_our_name(checkout, made):
    older = packages_of(checkout) / 'go2_webrtc_connect-0.2.1.dist-info'
    older.mkdir()
    (older / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: go2-webrtc-connect\nVersion: 0.2.1\n'
    )
    (older / 'INSTALLER').write_text('pip\n')
    said = set_up(checkout)
    shutil.rmtree(older)
    assert said.returncode == 0
    assert re.fullmatch('setup: warning: go2-webrtc-connect in .*\n', said.stderr)


def test_a_python_that_is_none_is_refused_in_one_line(checkout, made):
    said = set_up(checkout, PYTHON='/nowhere/python3')
    assert (said.returncode, said.stdout) == (1, '')
    assert said.stderr == 'setup: PYTHON=/nowhere/python3: expected a Python, this does not run\n'
    assert set_up(checkout).stdout == ''


@pytest.mark.skipif((3, 11) <= sys.version_info < (3, 14), reason='this Python has atheris')
def test_the_fuzzer_is_refused_in_one_line_where_its_library_is_missing(checkout, made):
    said = set_up(checkout, 'fuzz')
    assert (said.returncode, said.stdout) == (1, '')
    assert re.fullmatch('setup: fuzzing needs atheris, .* 3.11 to 3.13, .*\n', said.stderr)


def test_a_path_with_a_space_is_refused_in_one_line(tmp_path):
    place = tmp_path / 'my robot'
    (place / 'tools').mkdir(parents=True)
    shutil.copy(ROOT / 'tools' / 'setup.sh', place / 'tools')
    said = set_up(place)
    assert (said.returncode, said.stdout) == (1, '')
    assert re.fullmatch(f"setup: .*path without spaces, this one is '{place}'\n", said.stderr)
    assert [each.name for each in place.iterdir()] == ['tools']


def test_without_a_home_ros_logs_into_the_checkout():
    show = ['make', '--silent', '--eval=show: ; @echo $${ROS_LOG_DIR-none}', 'show']
    given = {k: v for k, v in os.environ.items() if k not in ('HOME', 'ROS_LOG_DIR')}
    for home, expected in (({}, str(ROOT / 'log' / 'ros')), ({'HOME': '/root'}, 'none')):
        done = subprocess.run(
            show, cwd=ROOT, env={**given, **home}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_no_linter_can_break_the_readmes_commands_and_ci_runs_both():
    done = subprocess.run(
        ['make', '--dry-run', 'test'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 'tools/test.sh' in done.stdout
    assert not {'ruff', 'mypy'} & set(re.findall(r'\w+', done.stdout))
    commands = re.findall('^make [a-z]+', README, re.MULTILINE)
    ci = (ROOT / '.ci' / 'run').read_text()
    assert commands == ['make demo', 'make test']
    assert re.search(r'^make lint\nexec make test$', ci, re.MULTILINE)
