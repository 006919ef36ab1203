"""
Nasty versions of the robot's messages, as far as a message of ROS; benchmarks/fuzz.py has more.

A seed makes a message, so that a failure can be had again; they are the same in every run.
"""

import contextlib
import dataclasses
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_of_the_robot import mutate, seeds

from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.protocol.actions import decode_mode
from go2_webrtc_driver.protocol.decoders import DECODERS
from go2_webrtc_driver.protocol.faults import MOST_FAULTS, update_faults
from go2_webrtc_driver.protocol.messages import parse_message
from go2_webrtc_driver.protocol.topics import MessageType

SEEDS = seeds()
FAULTS = (MessageType.FAULTS, MessageType.FAULT_ADDED, MessageType.FAULT_REMOVED)
IN_A_ROW = 5  # mutations of one message, each of what came of the last
FLOAT32 = float(np.finfo(np.float32).max)
A_FEW_HUNDRED = settings(derandomize=True, deadline=None, max_examples=400)
MANY = given(st.sampled_from(sorted(SEEDS)), st.integers(0, 2**32 - 1))


def nasty_messages(name, seed):
    """Return what parses of a row of ever nastier versions of a message."""
    rng, raw, parsed = random.Random(seed), SEEDS[name], []
    for _ in range(IN_A_ROW):
        raw = mutate(raw, rng)
        with contextlib.suppress(DecodeError):
            parsed.append(parse_message(raw))
    return parsed


def samples(messages):
    """Yield topic and sample of all that can be decoded."""
    for message in messages:
        if message.topic in DECODERS:
            with contextlib.suppress(DecodeError):
                yield message.topic, DECODERS[message.topic](message)


def numbers(value):
    """Yield every number in a sample."""
    if dataclasses.is_dataclass(value):
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        value = [value.min(initial=0), value.max(initial=0)]
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from numbers(each)
    elif not (value is None or isinstance(value, str)):  # a part that is missing, and why
        yield value


@pytest.mark.parametrize('name', SEEDS)
def test_every_message_that_is_mutated_is_one_of_the_robot(name):
    message = parse_message(SEEDS[name])
    if message.topic in DECODERS and message.type is MessageType.MESSAGE:
        DECODERS[message.topic](message)
    if message.type in FAULTS:
        update_faults(frozenset(), message)


@A_FEW_HUNDRED
@MANY
def test_a_nasty_message_is_a_sample_of_numbers_or_a_decode_error(name, seed):
    for _, sample in samples(nasty_messages(name, seed)):
        assert all(math.isnan(each) or abs(each) <= FLOAT32 for each in numbers(sample))


@A_FEW_HUNDRED
@MANY
def test_a_nasty_message_about_faults_leaves_some_that_can_be_shown(name, seed):
    faults = frozenset()
    for message in nasty_messages(name, seed):
        with contextlib.suppress(DecodeError):
            faults = update_faults(faults, message)
        assert len(faults) <= MOST_FAULTS
        assert all(str(each).isascii() for each in faults)


@A_FEW_HUNDRED
@MANY
def test_a_nasty_answer_gives_the_name_of_a_mode(name, seed):
    for message in nasty_messages(name, seed):
        assert decode_mode(message).replace('_', 'a').isalpha()


@A_FEW_HUNDRED
@MANY
def test_a_decode_error_is_short_and_can_be_shown(name, seed):
    rng, raw = random.Random(seed), SEEDS[name]
    for _ in range(IN_A_ROW):
        raw = mutate(raw, rng)
        try:
            message = parse_message(raw)
            DECODERS.get(message.topic, lambda _: None)(message)
        except DecodeError as error:
            assert len(str(error).encode()) < 500  # noqa: PT017 - not each raises one


@A_FEW_HUNDRED
@MANY
def test_what_a_nasty_message_gives_can_be_published(name, seed):
    publications = pytest.importorskip('go2_webrtc_driver.ros.publications')
    from builtin_interfaces.msg import Time
    from rclpy.serialization import serialize_message

    from go2_webrtc_driver.config import DriverConfig

    context = publications.Context(DriverConfig(), [])
    for good in ('sport_mode_state', 'robot_pose', 'voxel_map_few_a'):
        message = parse_message(SEEDS[good])
        context.note(message.topic, DECODERS[message.topic](message), Time())
    for topic, sample in samples(nasty_messages(name, seed)):
        context.note(topic, sample, Time())
        for row in publications.PUBLICATIONS:
            if row.source in context.latest and topic in (row.source, *row.needs):
                made = row.convert(context.latest[row.source], Time(), context)
                assert made is None or len(serialize_message(made)) > 0


@pytest.mark.parametrize('name', SEEDS)
def test_a_seed_makes_the_same_message_every_time(name):
    made = [mutate(SEEDS[name], random.Random(7)) for _ in range(2)]
    assert made[0] == made[1]
    assert type(made[0]) is type(SEEDS[name])


def test_some_nasty_messages_are_taken_for_good_ones():
    """Else nothing above would look at samples."""
    taken = {topic for name in SEEDS for n in range(50)
             for topic, _ in samples(nasty_messages(name, n))}  # fmt: skip
    assert taken == set(DECODERS)
    assert json.loads(SEEDS['low_state'])['topic'] in taken
