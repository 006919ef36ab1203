from go2_webrtc_driver.protocol.topics import SportApi, Status, Topic
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.newest import MOST_KEPT, Newest
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2


def test_it_is_a_list_until_it_is_full():
    kept = Newest()
    for number in range(MOST_KEPT):
        kept.append(number)
    assert kept == list(range(MOST_KEPT))
    kept.append(-1)
    assert (len(kept), kept[0], kept[-2:]) == (MOST_KEPT, 1, [MOST_KEPT - 1, -1])


def test_a_robot_that_runs_for_days_remembers_the_newest_requests_alone():
    go2 = SimulatedGo2(Options(ip='127.0.0.1'))
    for kept in (go2.requests, go2.calls):
        kept.extend([None] * MOST_KEPT)
    go2.request(Topic.SPORT_REQUEST.value, SportApi.STOP_MOVE, '')
    assert len(go2.requests) == len(go2.calls) == MOST_KEPT
    assert go2.requests[-1][1:] == (SportApi.STOP_MOVE, '', Status.OK)
    assert go2.calls[-1].api_id == SportApi.STOP_MOVE
