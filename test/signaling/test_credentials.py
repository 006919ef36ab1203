import dataclasses
import os

import pytest

from go2_webrtc_driver.errors import ConfigError
from go2_webrtc_driver.signaling.credentials import FIELDS, Credentials, load_credentials

KEY = '0123456789abcdefABCDEF9876543210'
SECRET = 'hunter2-secret'


@pytest.fixture
def write(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / 'credentials.yaml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


def test_secrets_come_from_the_file_and_the_environment_wins(write):
    path = write(f'email: me@example.com\npassword: {SECRET}\naes_key: {KEY}\n')
    found = load_credentials(path, {'UNITREE_PASSWORD': 'other', 'UNITREE_TOKEN': ''})
    assert found == Credentials(email='me@example.com', password='other', aes_key=KEY)
    assert found.device_key == bytes.fromhex(KEY)


def test_every_secret_has_an_environment_variable():
    given = {field.metadata['variable']: KEY for field in FIELDS.values()}
    assert set(dataclasses.astuple(load_credentials('', given))) == {KEY}


def test_a_key_and_a_password_of_digits_stay_text(write):
    path = write(f'password: 0123\naes_key: {"0" * 32}\n')
    assert load_credentials(path, {}).password == '0123'
    assert load_credentials(path, {}).device_key == bytes(16)


def test_nothing_is_needed_where_nothing_is_given():
    assert load_credentials('', {}) == Credentials()
    assert Credentials().device_key is None


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o620, 0o610, 0o644])
def test_a_file_that_others_can_use_is_refused(write, mode):
    path = write(f'password: {SECRET}', mode)
    with pytest.raises(ConfigError, match=f'chmod 600.*got mode {mode:o}'):
        load_credentials(path, {})


def test_a_file_of_somebody_else_is_refused(write, monkeypatch):
    path = write(f'password: {SECRET}')
    if os.geteuid() == 0:
        os.chown(path, 1234, -1)
    else:
        monkeypatch.setattr(os, 'geteuid', lambda: 1234)
    with pytest.raises(ConfigError, match='of our own that nobody else can read'):
        load_credentials(path, {})


BAD_FILES = {
    'no yaml': f'password: "{SECRET}\nx: [',
    'a list': f'- {SECRET}',
    'text': SECRET,
    'an unknown name': f'passwort: {SECRET}',
    'a nested value': f'password: {{of: {SECRET}}}',
    'no text': SECRET.encode() + b'\xff\xfe',
    'too large': f'password: {SECRET}\n' + '#' * 70_000,
    'a short key': 'aes_key: 1234',
    'a wrong key': f'aes_key: {SECRET.ljust(32, "x")}',
    'a secret as a name': f'? {SECRET}',
    'a name without a blank after it': f'password:{SECRET}: x',
    'deep': '[' * 30_000,
    'half a character': f'password: "{SECRET}\\ud800"',
    'a token of two lines': f'token: "{SECRET}\\nX: y"',
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_a_bad_file_is_one_error_that_shows_no_secret(write, case):
    with pytest.raises(ConfigError) as refusal:
        load_credentials(write(BAD_FILES[case]), {})
    message = str(refusal.value)
    assert message.startswith(('credentials_file /', 'aes_key: ', 'password: ', 'token: '))
    assert SECRET not in message
    assert '\n' not in message


def test_a_pipe_is_refused_at_once(tmp_path):
    """To open one is to wait for who writes into it."""
    path = tmp_path / 'pipe'
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match='expected a regular file'):
        load_credentials(str(path), {})


def test_an_environment_that_is_not_text_is_one_error():
    undecodable = os.fsdecode(b'\xff' + SECRET.encode())
    with pytest.raises(ConfigError, match='password: expected') as refusal:
        load_credentials('', {'UNITREE_PASSWORD': undecodable})
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize('path', ['/no/such/file', '/tmp', '\0'])
def test_a_file_that_cannot_be_read_is_one_error(path):
    with pytest.raises(ConfigError, match='credentials_file'):
        load_credentials(path, {})


def test_no_secret_is_shown():
    known = Credentials('me@example.com', SECRET, 'tok-123456', KEY, 'turner', 'turn-secret')
    assert repr(known) == 'Credentials()'
    for secret in dataclasses.astuple(known):
        assert known.redact(f'say {secret} now') == 'say *** now'


def test_a_secret_that_the_end_of_a_text_cuts_off_is_blotted_out_too():
    assert Credentials(password=SECRET).redact(f'say {SECRET[:-1]}') == 'say ***'
    assert Credentials(password=SECRET).redact(f'say {SECRET[:4]}') == 'say ***'


def test_a_secret_within_another_one_does_not_save_the_rest():
    known = Credentials(email='abcd', password='abcd-1234')
    assert known.redact('say abcd-1234') == 'say ***'
