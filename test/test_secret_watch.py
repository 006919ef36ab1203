"""That a secret which the driver shows fails the test in which it does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

HERE = Path(__file__).parent
PLANTED = """
import logging
import secrets
import sys
import warnings
from support import lan, process, wait_for_output
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.errors import LinkRefused
from go2_webrtc_driver.protocol import cloud

KNOWN = Credentials(email='me+you@example.com', password='planted-password')
KEY = bytes(range(16, 32))
logger = logging.getLogger('go2_webrtc_driver.session.planted')

def test_nothing():
    logger.debug('the password has %d characters', len(KNOWN.password))
    print('planted-passwor', 0 * 'd', bytes(16).hex())

def test_a_record_for_debugging():
    logger.debug('%s', KNOWN.password)

def test_a_traceback():
    try:
        raise ValueError(KNOWN.password)
    except ValueError:
        logger.exception('a bug')

def test_a_warning_of_another_package():
    logging.getLogger('another').warning('%s', KNOWN.password)

def test_the_text_of_an_error():
    LinkRefused(f'not you, {KNOWN.password}')

def test_standard_output():
    print(KNOWN.password)

def test_standard_error():
    print(KNOWN.password, file=sys.stderr)

def test_output_that_the_test_took(capsys):
    print(KNOWN.password)
    capsys.readouterr()

def test_the_hash_of_a_password():
    print(cloud.hash_password(KNOWN.password))

def test_a_quoted_email():
    print('me%2Byou%40example.com')

def test_a_session_key():
    print(secrets.token_hex(16))

def test_a_key_in_capitals():
    lan('127.0.0.1', KEY)
    print(KEY.hex().upper())

def test_a_key_as_bytes():
    print(KEY)

def test_a_process_handed_its_secret():
    code = 'import os; print(os.environ["UNITREE_TOKEN"])'
    with process('timeit', '-n1', '-r1', code, env={'UNITREE_TOKEN': 'planted-token'}) as started:
        wait_for_output(started, 'planted')

def test_the_last_words_of_a_process():
    with process('timeit', '-n1', '-r1', 'print("planted-password")') as started:
        started.wait()
"""


def run(folder, text):
    """Run tests under our conftest; return the exit status and the output."""
    shutil.copy(HERE / 'conftest.py', folder)
    (folder / 'test_planted.py').write_text(text)
    command = [sys.executable, '-m', 'pytest', '-q', '-rA', '-p', 'no:cacheprovider', str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(HERE), str(HERE.parent)))},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_every_planted_secret_fails_its_own_test_and_nothing_else_does(tmp_path):
    _, said = run(tmp_path, PLANTED)
    results = dict(
        reversed(each)
        for each in re.findall(r'^(PASSED|FAILED|ERROR) \S+::(\w+)', said, re.MULTILINE)
    )
    planted = re.findall(r'^def (test_\w+)', PLANTED, re.MULTILINE)
    wanted = {name: 'PASSED' if name == 'test_nothing' else 'FAILED' for name in planted}
    assert results == wanted, said


def test_a_secret_in_a_python_warning_fails_the_run(tmp_path):
    warn = 'def test_nothing():\n    warnings.warn(KNOWN.password)\n'
    status, said = run(tmp_path, PLANTED.partition('def test')[0] + warn)
    assert status == 1, said
    assert 'a secret was shown' in said


@pytest.fixture
def watch():
    made = SecretWatch()
    made.learn('hunter2-secret', 'a password')
    return made


def test_a_finding_names_the_place_and_not_the_secret(watch):
    watch.look('the password is hunter2-secret indeed', 'a log')
    assert watch.take() == ["a password in a log: 'the password is ***'"]
    assert watch.take() == []


def test_a_secret_that_comes_in_two_parts_is_found(watch):
    seen = watch.look_at_growing('hunter2-', 0, 'a log')
    assert not watch.found
    watch.look_at_growing('hunter2-secret', seen, 'a log')
    assert watch.found


@pytest.mark.parametrize('value', ['short', '', b'', '0' * 32, bytes(16), '00000000'])
def test_what_is_short_or_a_filler_is_no_secret(value):
    watch = SecretWatch()
    watch.learn(value, 'a password')
    watch.look(f'{value} short {bytes(16).hex()}', 'a log')
    assert not watch.found


def test_secrets_that_begin_alike_are_told_apart(watch):
    watch.learn('hunter2-other', 'another one')
    watch.look('hunter2-other', 'a log')
    assert [each.partition(' in ')[0] for each in watch.take()] == ['another one']
