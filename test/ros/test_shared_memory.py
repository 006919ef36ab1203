"""What the driver takes in /dev/shm, and what killed drivers left there."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driver_process import DRIVER, context, user
from support import PATIENCE, in_own_shared_memory, interrupt, process

from go2_webrtc_driver.ros import shared_memory
from go2_webrtc_driver.ros.shared_memory import (
    FOLDER,
    MIB,
    OLD_VARIABLE,
    PROFILES,
    SEGMENT,
    VARIABLE,
    SharedMemory,
    remove_leftovers,
    use_large_shared_memory,
    variables_read_by,
)

__all__ = ['context', 'user']  # fixtures
CONFIG = Path(__file__).parents[2] / 'config'
# A participant with the profile of the driver, quicker to start than the driver.
PARTICIPANT = """
import pathlib, rclpy, signal
from go2_webrtc_driver.ros.shared_memory import use_large_shared_memory
print(use_large_shared_memory(pathlib.Path({config!r})))
rclpy.init()
node = rclpy.create_node('participant')
print('ready', flush=True)
signal.pause()
"""


def participant():
    """Start a process that has a segment."""
    command = [sys.executable, '-c', PARTICIPANT.format(config=str(CONFIG))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ready(started):
    """Return what it said until it was ready."""
    return ''.join(iter(started.stdout.readline, 'ready\n'))


def kill(started):
    started.kill()
    started.wait()
    started.stdout.close()


def segments():
    return {path.name for path in FOLDER.iterdir() if SEGMENT.fullmatch(path.name)}


@in_own_shared_memory('1g')
def test_what_ten_killed_drivers_left_is_gone_after_the_next_start():
    lives = participant()
    ready(lives)
    of_the_living = segments()
    killed = [participant() for _ in range(10)]
    for each in killed:
        ready(each)
    for each in killed:
        kill(each)
    left = segments() - of_the_living
    assert len(left) >= 10
    with process(DRIVER, ready='segments of killed processes removed') as started:
        assert not segments() & left
        assert of_the_living <= segments()
        assert not {path.name.removesuffix('_el') for path in FOLDER.glob('*_el')} & left
        assert interrupt(started)[0] == 0
    assert segments() == of_the_living, 'a clean exit leaves nothing'
    kill(lives)


@in_own_shared_memory('64m')
def test_the_suite_leaves_nothing_of_what_it_killed():
    killed = participant()
    ready(killed)
    kill(killed)
    assert segments()
    suite = [sys.executable, '-m', 'pytest', '-q', '--collect-only', 'test/protocol']
    subprocess.run(suite, cwd=CONFIG.parent, check=True, stdout=subprocess.DEVNULL)
    assert not segments()


@in_own_shared_memory('64m')
def test_drivers_share_the_memory_of_a_container_and_say_what_to_do():
    said = {}
    with process(DRIVER, ready='Fast DDS profile for large messages'):
        for size in (16, 8):
            said[size] = participant()
            assert f'the segment has {size} MiB; give the container more' in ready(said[size])
        with process(DRIVER, ready='most raw pictures will be lost') as last:
            assert '--shm-size' in last.text
            assert 'RTPS_TRANSPORT_SHM' not in last.text, 'it does not try what cannot work'
    sizes = sorted(
        path.stat().st_size // (8 * MIB)
        for path in FOLDER.iterdir()
        if SEGMENT.fullmatch(path.name) and path.stat().st_size > MIB
    )
    assert sizes == [1, 2, 4]
    for each in said.values():
        kill(each)


class Folder:
    """A folder like /dev/shm."""

    def __init__(self, path):
        self.path = path

    def add(self, name, size, has_lock=True):
        segment = self.path / name
        with segment.open('wb') as file:
            file.truncate(size)
        if has_lock:
            segment.with_name(f'{name}_el').touch()
        return segment


def test_nothing_is_kept_from_collection_at_the_exit():
    """Frozen publishers keep the participant of Fast DDS 3, its segment and a ghost of it."""
    code = 'import gc; from go2_webrtc_driver.ros import main as process; '
    code += 'process.main(); print(gc.get_freeze_count())'
    started = subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = iter(started.stderr.readline, '')
    assert any('shared memory' in line or 'Fast DDS profile' in line for line in said)
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=PATIENCE)
    assert (started.returncode, output) == (0, '0\n')


@pytest.mark.parametrize('prefix', ['fastrtps', 'fastdds'])
def test_a_segment_whose_owner_is_dead_is_removed_with_its_lock(tmp_path, prefix):
    for number, size in enumerate((35_127_840, 549_408)):
        Folder(tmp_path).add(f'{prefix}_{number:016x}', size)
    assert remove_leftovers(tmp_path) == 2
    assert not list(tmp_path.iterdir())


def test_a_segment_whose_owner_lives_stays(tmp_path):
    segment = Folder(tmp_path).add('fastrtps_0123456789abcdef', 35_127_840)
    with (tmp_path / f'{segment.name}_el').open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_leftovers(tmp_path) == 0
    assert segment.exists()
    assert remove_leftovers(tmp_path) == 1


@pytest.mark.parametrize(
    ('name', 'size', 'has_lock'),
    [
        ('fastrtps_0123456789abcdef', 35_127_840, False),  # no lock tells of its owner
        ('fastrtps_0123456789abcdef', 70_000_000, True),  # no driver makes one of this size
        ('fastrtps_0123456789abcdef', 1, True),
        ('fastrtps_port7000', 549_408, True),
        ('sem.fastrtps_port7000_mutex', 549_408, True),
        ('other_0123456789abcdef', 35_127_840, True),
    ],
)
def test_what_is_no_segment_of_a_driver_stays(tmp_path, name, size, has_lock):
    segment = Folder(tmp_path).add(name, size, has_lock)
    before = set(tmp_path.iterdir())
    assert remove_leftovers(tmp_path) == 0
    assert set(tmp_path.iterdir()) == before
    assert segment.stat().st_size == size


def test_a_machine_without_dev_shm_is_no_error(tmp_path):
    assert remove_leftovers(tmp_path / 'none') == 0


@pytest.mark.parametrize(
    ('library', 'variables'),
    [
        ('/opt/ros/jazzy/lib/libfastrtps.so.2.14', (OLD_VARIABLE,)),
        ('/opt/ros/kilted/lib/libfastdds.so.3.2', (VARIABLE, OLD_VARIABLE)),
    ],
)
def test_the_profile_goes_where_this_fast_dds_reads_it(library, variables):
    assert variables_read_by(f'7f00-7f01 r--p 0 00:00 1 {library}\n') == variables


@pytest.fixture
def fast_dds_2(monkeypatch):
    monkeypatch.setattr(shared_memory, 'profile_variables', lambda: (OLD_VARIABLE,))
    for name in (OLD_VARIABLE, VARIABLE):
        monkeypatch.setenv(name, '')
    return monkeypatch


def test_a_variable_that_fast_dds_does_not_read_does_not_turn_our_profile_off(fast_dds_2):
    fast_dds_2.setenv(VARIABLE, '/of/somebody.xml')
    assert use_large_shared_memory(CONFIG).size in (0, *PROFILES)


def test_a_profile_of_the_users_own_is_left_alone(fast_dds_2):
    fast_dds_2.setenv(OLD_VARIABLE, '/of/somebody.xml')
    assert use_large_shared_memory(CONFIG) is None
    assert os.environ[OLD_VARIABLE] == '/of/somebody.xml'


def test_another_middleware_is_left_alone(monkeypatch):
    identifier = 'get_rmw_implementation_identifier'
    monkeypatch.setattr(shared_memory, identifier, lambda: 'rmw_cyclonedds_cpp')
    assert use_large_shared_memory(CONFIG) is None


def test_diagnostics_tell_of_pictures_that_will_be_lost():
    level, text, values = SharedMemory(None, 0, 3 * MIB).state()
    assert level == b'\1'
    assert text.startswith('3 MiB are free in /dev/shm, 32 are wanted: most raw pictures')
    assert values == {'segment [MiB]': 0}


def test_diagnostics_show_the_segment_of_a_driver(user):
    heard = []
    user.create_subscription(DiagnosticArray, '/diagnostics', heard.append, 10)
    arguments = ('--ros-args', '-r', f'__ns:=/{user.space}')

    def statuses():
        name = f'{user.space}/go2_driver: shared memory'
        return [each for array in heard for each in array.status if each.name == name]

    with process(DRIVER, *arguments):
        user.until(statuses)
    assert [each.key for each in statuses()[0].values] == ['segment [MiB]']


def test_the_profiles_differ_in_the_size_of_their_segment_alone():
    texts = {
        size: re.sub('<!--.*?-->', '', (CONFIG / name).read_text(), flags=re.DOTALL)
        for size, name in PROFILES.items()
    }
    alike = {text.replace(f'<segment_size>{size}<', '') for size, text in texts.items()}
    assert len(alike) == 1
    assert '<segment_size>' not in alike.pop()
