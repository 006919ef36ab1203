import itertools

import pytest

from go2_webrtc_driver.ros.ages import FEWEST, WINDOW, Ages

NANO = 1_000_000_000


class World:
    """A publisher and a subscriber, with clocks of their own; time in seconds."""

    def __init__(self, publishers_clock=0.0):
        self.ages = Ages()
        self.time = 1000.0
        self.clock = 1.7e9  # time of day here
        self.publishers_clock = 1.7e9 + publishers_clock
        self.numbers = itertools.count(1)

    def publish(self):
        """Return what DDS knows of a message of now."""
        sent = round((self.time + self.publishers_clock) * NANO)
        return {'source_timestamp': sent, 'publication_sequence_number': next(self.numbers)}

    def receive(self, info):
        return self.ages.age(info, (self.time + self.clock, self.time))

    def hear(self, count, period=0.1, delay=0.002):
        """Hear messages that come as they are sent; return the largest age."""
        largest = 0.0
        for _ in range(count):
            info = self.publish()
            self.time += delay
            largest = max(largest, self.receive(info))
            self.time += period - delay
        return largest


@pytest.mark.parametrize('difference', [0.0, 3600.0, -3600.0, 3e7])
def test_what_comes_at_once_is_young_whatever_the_clocks_show(difference):
    assert World(difference).hear(100) < 0.01


@pytest.mark.parametrize('difference', [0.0, 5.0, -5.0])
def test_what_has_waited_is_as_old_as_it_has_waited(difference):
    world = World(difference)
    world.hear(20)
    waiting = world.publish()
    world.time += 3.0
    assert world.receive(waiting) == pytest.approx(3.0, abs=0.01)
    assert world.hear(5) < 0.01


def test_a_burst_of_what_has_waited_for_long_does_not_pass_for_young():
    world = World(-2.0)
    world.hear(20)
    waiting = []
    for _ in range(200):
        waiting.append(world.publish())
        world.time += 0.05
    world.time += 12.0
    ages = []
    for info in waiting:
        world.time += 0.001
        ages.append(world.receive(info))
    assert min(ages) > 11.0


@pytest.mark.parametrize('step', [-10.0, 10.0])
@pytest.mark.parametrize('whose', ['clock', 'publishers_clock', 'both'])
def test_a_clock_that_is_set_makes_nothing_old_for_longer_than_two_windows(whose, step):
    world = World()
    world.hear(50)
    if whose in ('clock', 'both'):
        world.clock += step
    if whose in ('publishers_clock', 'both'):
        world.publishers_clock += step
    if whose != 'publishers_clock' or step > 0.0:
        assert world.hear(50) < 0.01
    world.hear(2 * max(FEWEST, round(WINDOW / 0.1)) + 10)
    assert world.hear(50) < 0.01


def test_two_publishers_with_clocks_apart_are_told_apart():
    first, second = World(), World(7.0)
    second.ages = first.ages
    first.hear(500)
    ages = []
    for _ in range(100):
        for world in (first, second):
            world.time = first.time
            ages.append(world.receive(world.publish()))
        first.time += 0.1
    assert max(ages) < 0.01


def test_a_publisher_that_begins_anew_with_another_clock_is_young_at_once():
    first = World()
    first.hear(100)
    again = World(-30.0)
    again.ages, again.time = first.ages, first.time
    assert again.hear(50) < 0.01


def test_a_publisher_whose_number_passes_that_of_one_that_is_gone_stays_itself():
    gone, world = World(7.0), World()
    gone.hear(200)
    world.ages, world.time = gone.ages, gone.time
    assert world.hear(400) < 0.01


def test_a_middleware_that_does_not_count_is_one_publisher():
    world = World()
    for _ in range(20):
        info = {**world.publish(), 'publication_sequence_number': None}
        assert world.receive(info) < 0.01
        world.time += 0.1
    info = {**world.publish(), 'publication_sequence_number': None}
    world.time += 2.0
    assert world.receive(info) == pytest.approx(2.0, abs=0.01)


def test_no_more_than_so_many_publishers_are_remembered():
    ages = Ages()
    for sequence in range(1000, 0, -1):
        ages.age({'source_timestamp': NANO, 'publication_sequence_number': sequence}, (1.0, 1.0))
    assert len(ages._publishers) <= 16
