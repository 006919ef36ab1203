"""Table 1: how each topic of the robot is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import state, voxel_map
from .messages import Message
from .topics import Topic


@dataclass(frozen=True)
class Sample:
    """
    One value that the robot has sent.

    Attributes:
        source: topic of the robot.
        value: as its decoder returns it.
    """

    source: str
    value: Any


Decoder = Callable[[Message], object]

DECODERS: Mapping[str, Decoder] = {
    Topic.SPORT_MODE_STATE.value: state.decode_sport_mode_state,
    Topic.LOW_STATE.value: state.decode_low_state,
    Topic.ROBOT_POSE.value: state.decode_robot_pose,
    Topic.MULTIPLE_STATE.value: state.decode_multiple_state,
    Topic.VOXEL_MAP.value: voxel_map.decode_voxel_map,
}


def decode(message: Message) -> Sample | Message:
    """
    Return the sample in a message, or the message if it has none.

    Raises:
        DecodeError: the content does not have the form of its topic.
    """
    decoder = DECODERS.get(message.topic)
    return message if decoder is None else Sample(message.topic, decoder(message))
