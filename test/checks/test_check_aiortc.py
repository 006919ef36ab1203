import os
import subprocess
import sys

import pytest

from go2_webrtc_driver.checks import check_aiortc
from go2_webrtc_driver.checks.check_aiortc import BAD, GOOD, UNKNOWN, Finding, status, table

CLEAN = Finding('1.16.0', 10)
LOST = Finding('1.16.0', 10, 10)
REFUSED = Finding('2.0.0', refused='expected this, found that')
UNCLEAR = Finding(trouble='no answer')


DEAF = """
from go2_webrtc_driver.checks import race_probe
race_probe.PATIENCE = 0.0
race_probe.main()
"""


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch):
    monkeypatch.delenv('GO2_AIORTC_PATCH', raising=False)


def let_probes_find(monkeypatch, folder, module, code):
    """Put a module before all others on the path of the probes; sitecustomize runs first."""
    (folder / f'{module}.py').write_text(code)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get('PYTHONPATH')])])
    monkeypatch.setenv('PYTHONPATH', path)


def check(capsys, *arguments):
    answer = check_aiortc.main([*arguments, '--attempts', '2'])
    return answer, capsys.readouterr().out


def test_the_installed_aiortc_has_the_race_and_the_patch_closes_it(capsys):
    answer, said = check(capsys)
    assert answer == GOOD
    assert 'has the race         yes (lost in 2 of 2 attempts)' in said
    assert 'the patch closes it  yes (lost in 0 of 2 attempts)' in said
    assert 'the patch is needed  yes' in said


def test_no_patch_shows_the_bug(capsys):
    answer, said = check(capsys, '--no-patch')
    assert answer == BAD
    assert 'has the race         yes (lost in 2 of 2 attempts)' in said
    assert 'patch closes' not in said


def test_a_patch_that_is_switched_off_is_not_good(capsys, monkeypatch):
    monkeypatch.setenv('GO2_AIORTC_PATCH', 'off')
    answer, said = check(capsys)
    assert answer == BAD
    assert 'the driver does not patch: GO2_AIORTC_PATCH=off' in said


def test_an_aiortc_that_cannot_be_imported_is_unknown(capsys, monkeypatch, tmp_path):
    code = "import sys; sys.modules['aiortc'] = None"
    let_probes_find(monkeypatch, tmp_path, 'sitecustomize', code)
    answer, said = check(capsys)
    assert answer == UNKNOWN
    assert 'aiortc               not found' in said
    assert 'unknown: the probe ended with status 1: ModuleNotFoundError' in said


def test_an_aiortc_that_the_patch_refuses_is_not_good(capsys, monkeypatch, tmp_path):
    code = 'from aioice import turn; turn.Renamed = turn.__dict__.pop("TurnClientMixin")'
    let_probes_find(monkeypatch, tmp_path, 'sitecustomize', code)
    answer, said = check(capsys)
    assert answer == BAD
    assert 'has the race         yes' in said
    assert 'the patch closes it  no: aiortc' in said
    assert 'expected async aioice.turn.TurnClientMixin.delete(self), found none' in said


def test_an_attempt_without_media_is_unknown_not_good(capsys, monkeypatch, tmp_path):
    let_probes_find(monkeypatch, tmp_path, 'deaf_probe', DEAF)
    monkeypatch.setattr(check_aiortc, 'PROBE', 'deaf_probe')
    answer, said = check(capsys)
    assert answer == UNKNOWN
    assert 'no media in 2 of 2 attempts' in said


def test_probes_that_hang_are_ended_and_the_answer_is_unknown(capsys, monkeypatch, tmp_path):
    let_probes_find(monkeypatch, tmp_path, 'sitecustomize', 'import signal; signal.pause()')
    monkeypatch.setattr(check_aiortc, 'TIMEOUT', 0.2)
    started, start = [], check_aiortc._start
    monkeypatch.setattr(
        check_aiortc, '_start', lambda *a, **k: started.append(start(*a, **k)) or started[-1]
    )
    answer, said = check(capsys)
    assert answer == UNKNOWN
    assert 'no answer within 0.2 s' in said
    assert all(each.returncode is not None for each in started)


@pytest.mark.parametrize(
    ('driver', 'answer'), [(CLEAN, GOOD), (LOST, BAD), (REFUSED, BAD), (UNCLEAR, UNKNOWN)]
)
def test_the_exit_status_is_about_the_situation_the_driver_is_in(driver, answer):
    assert status(driver) == answer


@pytest.mark.parametrize(
    ('without', 'needed'), [(CLEAN, 'no'), (LOST, 'yes'), (UNCLEAR, 'unknown')]
)
def test_the_patch_is_needed_unless_no_attempt_without_it_loses_the_race(without, needed):
    assert dict(table(without, CLEAN))['the patch is needed'] == needed


def test_it_runs_as_a_module():
    command = [sys.executable, '-m', 'go2_webrtc_driver.checks.check_aiortc', '--help']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '--no-patch' in done.stdout
