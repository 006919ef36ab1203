import pytest

from go2_webrtc_driver.link.candidates import MOST_CANDIDATES, is_near, usable

HEAD, END = 'v=0\r\nm=audio 9 x 0\r\n', 'a=setup:active\r\n'


def line(address, port=5000):
    return f'a=candidate:1 1 udp 2130706431 {address} {port} typ host\r\n'


def anything(address):
    return True


def test_an_answer_whose_candidates_may_all_be_tried_is_left_as_it_is():
    sdp = HEAD + line('192.168.1.5') + END
    assert usable(sdp, anything) == (sdp, 0)


def test_candidates_that_may_not_be_tried_are_left_out_and_counted():
    sdp = HEAD + line('8.8.8.8') + line('192.168.1.5') + line('8.8.4.4') + END
    kept, others = usable(sdp, lambda address: is_near(address, '192.168.1.5'))
    assert (kept, others) == (HEAD + line('192.168.1.5') + END, 2)


def test_no_more_than_so_many_are_tried_and_one_that_each_section_repeats_counts_once():
    section = ''.join(line('192.168.1.5', port) for port in range(3500))
    kept, others = usable((HEAD + section) * 3, anything)
    assert kept.count('a=candidate') == 3 * MOST_CANDIDATES
    assert others == 3500 - MOST_CANDIDATES


@pytest.mark.parametrize('bad', ['a=candidate:\r\n', 'a=candidate:1 1\r\n'])
def test_a_line_that_is_no_candidate_is_left_out(bad):
    assert usable(HEAD + bad + END, anything)[0] == HEAD + END


@pytest.mark.parametrize(
    ('address', 'near'),
    [
        ('192.168.12.1', True), ('192.168.12.77', True), ('169.254.3.4', False),
        ('10.0.0.1', False), ('robot.local', False), ('::1', False), ('', False),
    ],
)  # fmt: skip
def test_near_is_what_is_on_the_robots_subnet(address, near):
    assert is_near(address, '192.168.12.1') is near


def test_near_by_ipv6():
    assert is_near('fd00::77', 'fd00::1')
    assert not is_near('2001:db8::1', 'fd00::1')
