"""The bridge to the node's log: nothing silences it, nothing writes over the terminal."""

import logging

import pytest
from support import wait_until

from go2_webrtc_driver.ros import log_bridge


class Lines:
    """What rclpy's logger is told."""

    def __init__(self):
        self.said = []

    def __getattr__(self, severity):
        return self.said.append


@pytest.fixture
def lines():
    logger = Lines()
    bridge = log_bridge.attach(logger)
    yield logger.said
    log_bridge.detach(bridge)


def test_a_line_that_cannot_be_shown_does_not_end_the_log(lines):
    logger = logging.getLogger('go2_webrtc_driver.test')
    logger.warning('%s and %s', 'one')  # not enough arguments
    logger.warning('a topic %s', '\ud800')
    logger.warning('the next line')
    wait_until(lambda: 'the next line' in lines)
    assert 'a record that cannot be shown' in lines[0]
    assert lines[1] == r'a topic \ud800'


def test_what_moves_a_cursor_or_looks_like_a_line_of_another_is_shown_as_it_is_spelt(lines):
    logging.getLogger('go2_webrtc_driver.test').error('clear %s', '\x1b[2J\r\n[FATAL]')
    wait_until(lambda: lines)
    assert lines == [r'clear \x1b[2J\r\n[FATAL]']


def test_a_library_that_warns_of_each_packet_is_heard_once(lines):
    foreign = logging.getLogger('aiortc.rtcrtpreceiver')
    for number in range(1000):
        foreign.warning('failed to decode frame %d', number)
    foreign.warning('something else')
    foreign.info('and this is for nobody')
    wait_until(lambda: 'something else' in lines)
    assert lines == ['failed to decode frame 0', 'something else']


def test_libraries_have_their_own_way_again_afterwards():
    bridge = log_bridge.attach(Lines())
    assert not logging.getLogger('aiortc').propagate
    log_bridge.detach(bridge)
    assert logging.getLogger('aiortc').propagate
