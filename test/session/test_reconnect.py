import random
from dataclasses import replace
from itertools import islice

import pytest

from go2_webrtc_driver.errors import LinkBusy, LinkLost, LinkRefused, LinkUnreachable
from go2_webrtc_driver.protocol.state import RobotPose
from go2_webrtc_driver.session.liveness import (
    DATA,
    HEARTBEAT,
    HEARTBEAT_PERIOD,
    MOST_REQUESTS,
    OWNER_TIMEOUT,
    POSE,
    SPORT,
    OwnerWatch,
    PictureWatch,
    SignsOfLife,
    SourceWatch,
    Verdict,
)
from go2_webrtc_driver.session.reconnect import (
    LONGEST_DELAY,
    OPERATOR_DELAY,
    SLOT_HELD,
    Outage,
    delays,
)


def test_delays_grow_to_a_cap_and_are_jittered():
    waits = list(islice(delays(random.Random(1)), 20))
    assert waits[0] < 1.0
    assert waits[5] > 3 * waits[0]
    assert max(waits) <= LONGEST_DELAY * 1.2
    assert len(set(waits)) == 20


def outage(lost_at=float('-inf')):
    return Outage(random.Random(1), lost_at)


def test_only_busy_and_refused_need_a_person_and_are_tried_slowly():
    for error in (LinkBusy(''), LinkRefused('')):
        assert outage().needs_operator(error, 0.0)
        assert outage().delay(error, 0.0) == OPERATOR_DELAY > 5.0
    for error in (LinkLost(''), LinkUnreachable('')):
        assert not outage().needs_operator(error, 0.0)
        assert outage().delay(error, 0.0) < 1.0


def test_a_robot_that_is_busy_just_after_a_loss_may_be_busy_with_our_own_lost_link():
    assert not outage(lost_at=100.0).needs_operator(LinkBusy(''), 101.0)
    assert outage(lost_at=100.0).needs_operator(LinkBusy(''), 101.0 + SLOT_HELD)


def test_each_kind_of_error_is_news_once_in_an_outage():
    ours = outage()
    assert ours.is_new
    assert ours.is_news(LinkUnreachable('a'))
    assert not ours.is_new
    assert not ours.is_news(LinkUnreachable('b'))
    assert ours.is_news(LinkBusy(''))


def test_silence_is_noticed_whatever_else_comes():
    signs = SignsOfLife(3.0, 10.0)
    signs.note(HEARTBEAT, 12.9)
    assert not signs.missing(13.0)
    assert 'data' in signs.missing(13.1)
    signs.note(DATA, 13.1)
    assert not signs.missing(16.0)


def test_replies_to_heartbeats_are_missed_only_if_there_have_been_some():
    signs = SignsOfLife(3.0, 0.0)
    signs.note(DATA, 100.0)
    assert not signs.missing(100.0)
    signs.note(HEARTBEAT, 100.0)
    late = 100.1 + 3.0 + HEARTBEAT_PERIOD
    signs.note(DATA, late)
    assert 'heartbeat' in signs.missing(late)


def verdicts(watch, *times):
    return [watch.verdict(now) for now in times]


def test_pictures_that_do_not_come_are_asked_for_again_and_then_the_link_is_given_up():
    watch = PictureWatch(2.0, wanted=False, now=0.0, camera_is_broken=False)
    assert verdicts(watch, 9.0) == [Verdict.FINE]  # nobody wants any
    watch.want(True, 10.0)
    assert watch.overdue(11.9) == 0.0
    assert verdicts(watch, 11.9, 12.1, 12.2, 14.1, 16.1, 18.1) == [
        Verdict.FINE, Verdict.ASK_AGAIN, Verdict.FINE, Verdict.ASK_AGAIN, Verdict.ASK_AGAIN,
        Verdict.GIVE_UP,
    ]  # fmt: skip
    assert watch.overdue(18.1) > 8.0


def test_a_camera_that_is_broken_does_not_end_one_link_after_the_other():
    first = PictureWatch(1.0, wanted=True, now=0.0, camera_is_broken=False)
    assert Verdict.GIVE_UP in [first.verdict(tick / 10) for tick in range(50)]
    watch = PictureWatch(1.0, wanted=True, now=200.0, camera_is_broken=first.camera_is_broken)
    again = [watch.verdict(200.0 + tick / 10) for tick in range(200)]
    assert Verdict.GIVE_UP not in again
    assert again.count(Verdict.ASK_AGAIN) > MOST_REQUESTS
    watch.note(300.0)
    assert Verdict.GIVE_UP in [watch.verdict(300.0 + tick / 10) for tick in range(200)]


def test_an_owner_is_missed_once_it_has_been_there_and_then_falls_silent():
    watch = OwnerWatch()
    assert not watch.look(1e6)
    watch.note(10.0)
    assert not watch.look(10.0 + OWNER_TIMEOUT)
    assert watch.look(10.1 + OWNER_TIMEOUT)
    assert watch.is_stuck
    assert not watch.look(20.0)  # no news
    watch.note(20.0)
    assert watch.look(20.1)
    assert not watch.is_stuck


def test_a_source_that_stops_alone_is_overdue_with_its_age():
    watch = SourceWatch([SPORT, POSE, 'b'], 0.0)
    watch.is_new(SPORT, 1, 9.5)
    watch.is_new('b', 1, 9.0)
    assert watch.overdue(10.0) == {POSE: 10.0}
    watch.want([SPORT], 10.0)
    assert watch.overdue(10.0) == {}
    watch.want([SPORT, POSE], 10.0)
    assert watch.overdue(10.5) == {}


def test_the_age_of_motion_is_that_of_the_oldest_source_that_tells_of_it():
    watch = SourceWatch([SPORT, POSE], 0.0)
    assert watch.age_of_motion(0.1) == float('inf')  # nothing came yet
    watch.is_new(SPORT, 1, 1.0)
    assert watch.age_of_motion(1.1) == pytest.approx(0.1)
    watch.is_new(POSE, 1, 2.0)
    watch.is_new(SPORT, 2, 5.0)
    assert watch.age_of_motion(5.0) == pytest.approx(3.0)
    watch.want([SPORT], 5.0)  # nobody looks at the pose any more
    assert watch.age_of_motion(5.0) == 0.0


def test_a_sample_that_is_the_same_to_its_stamp_is_nothing_new():
    watch = SourceWatch([POSE], 0.0)
    pose = RobotPose(7.0, (1.0, 2.0, 0.3), (0.0, 0.0, 0.0, 1.0))
    assert watch.is_new(POSE, pose, 1.0)
    assert not watch.is_new(POSE, replace(pose), 2.0)
    assert watch.age(POSE, 3.0) == 2.0
    assert watch.is_new(POSE, replace(pose, stamp=7.1), 3.0)
    assert watch.is_new('b', 5, 1.0)
    assert watch.is_new('b', 5, 1.0)  # no stamp: it may well be the same
