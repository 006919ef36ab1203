"""
Keep each run's ROS traffic to itself: this machine only, in a domain of its own.

And fail the very test during which the driver shows a secret.
"""

import contextlib
import logging
import os

from domains import free_domain

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_DOMAIN_ID'] = str(free_domain())

import pytest
import secret_watch
from secret_watch import SECRETS

secret_watch.install()


def pytest_collection_modifyitems(items):
    """Tests wait more than they compute: two may run at once, but for faults and ``alone``."""
    for item in items:
        if item.path.parent.name != 'faults' and not item.get_closest_marker('alone'):
            item.add_marker('shared')


def pytest_runtest_setup():
    """Let the package make the records that a user sees with ``--log-level debug``."""
    logging.getLogger(secret_watch.PACKAGE).setLevel(logging.DEBUG)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Look at what was captured; whatever the test says itself, a secret fails it."""
    report = (yield).get_result()
    for name, text in report.sections:
        SECRETS.look(text, name)
    if found := SECRETS.take():
        report.outcome = 'failed'
        report.longrepr = '\n'.join(('a secret was shown:', *found, str(report.longrepr or '')))


def pytest_warning_recorded(warning_message):
    SECRETS.look(str(warning_message.message), 'a warning')


def pytest_sessionfinish(session):
    """Fail for what came after the last test, too; leave nothing of killed drivers in /dev/shm."""
    with contextlib.suppress(ImportError):  # of rclpy: what needs no ROS is tested without it
        from go2_webrtc_driver.ros.shared_memory import remove_leftovers

        remove_leftovers()
    if found := SECRETS.take():
        print('a secret was shown:', *found, sep='\n')
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
