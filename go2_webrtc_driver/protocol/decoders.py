"""Table 1: how each topic of the robot is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import state, voxel_map
from .messages import Message
from .topics import Topic

Decoder = Callable[[Message], object]

DECODERS: Mapping[str, Decoder] = {
    Topic.SPORT_MODE_STATE.value: state.decode_sport_mode_state,
    Topic.LOW_STATE.value: state.decode_low_state,
    Topic.ROBOT_POSE.value: state.decode_robot_pose,
    Topic.MULTIPLE_STATE.value: state.decode_multiple_state,
    Topic.VOXEL_MAP.value: voxel_map.decode_voxel_map,
}
