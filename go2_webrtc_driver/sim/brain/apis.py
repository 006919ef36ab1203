"""
The services of the simulated robot by their APIs, and what clients set in them.

They outlive a client, as on a real robot: who hands the remote's place to the API (1004)
and leaves finds the joystick dead. Ids stand in ``protocol.topics``. Ours, as not known:
``ai`` has the requests of ``normal``; a mode is there at once and stands the robot up;
a released mode damps it; avoidance is off at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...protocol.actions import MCF
from ...protocol.motion import FULL_STICK
from ...protocol.topics import MotionSwitcherApi, ObstaclesAvoidApi, Status, Topic, VuiApi
from ..body.body import DAMPED, STANDING
from .reply import BAD_PARAMETER, Reply, field, numbers, read
from .robot import Robot
from .sport import RELEASED

MODES = (MCF, 'normal', 'ai')
COLORS = ('white', 'red', 'yellow', 'blue', 'green', 'cyan', 'purple')
NOT_IMPLEMENTED = Reply(Status.API_NOT_IMPLEMENTED)

Act = Callable[[str], Reply]


class Services:
    """
    Everything that can be asked of the robot.

    Attributes:
        remote_from_api: whether the API took the joystick's place; 1003 works only then.
        lidar_on: whether the lidar turns; on at first, as the vendor says of a real one.
        voice_on: the switch of the voice assistant, 0 or 1.
        color: of the head's LEDs, and the rest of what it was set with.
    """

    def __init__(self, robot: Robot) -> None:
        self.remote_from_api = False
        self.lidar_on = True
        self.voice_on = 1
        self.color: Mapping[str, Any] = {}
        self._robot = robot
        self._acts: Mapping[str, Mapping[int, Act]] = {
            Topic.MOTION_SWITCHER_REQUEST.value: self._motion_switcher(),
            Topic.OBSTACLES_AVOID_REQUEST.value: self._obstacles_avoid(),
            Topic.VUI_REQUEST.value: self._vui(),
        }

    def answer(self, topic: str, api_id: int, parameter: str, now: float) -> Reply:
        """Carry out a request on ``topic`` at ``now`` [s] and return the answer."""
        if topic == Topic.SPORT_REQUEST.value:
            return self._robot.answer(api_id, parameter, now)
        self._robot.advance(now)
        act = self._acts.get(topic, {}).get(api_id)
        return NOT_IMPLEMENTED if act is None else act(parameter)

    def steer(self, sticks: Any, now: float) -> None:
        """
        Walk as the joystick says, for a second.

        Args:
            sticks: ``lx`` right, ``ly`` forward and ``rx`` clockwise, each -1 to 1.
            now: time [s].
        """
        found = numbers(sticks, ('lx', 'ly', 'rx'))
        if found is None or self.remote_from_api or not self._robot.sport.joystick_on:
            return
        self._robot.advance(now)
        right, forward, clockwise = (max(-1.0, min(1.0, stick)) for stick in found)
        x, y, yaw = FULL_STICK
        self._robot.walk((x * forward, -y * right, -yaw * clockwise), avoiding=True)

    def switch_lidar(self, word: Any) -> None:
        """Switch the lidar ``on`` or ``off``, in any case; anything else does nothing."""
        if isinstance(word, str) and word.lower() in ('on', 'off'):
            self.lidar_on = word.lower() == 'on'

    def _motion_switcher(self) -> Mapping[int, Act]:
        sport = self._robot.sport
        return {
            MotionSwitcherApi.CHECK_MODE: lambda _: Reply(
                content={'form': '0', 'name': sport.mode}
            ),
            MotionSwitcherApi.SELECT_MODE: self._select_mode,
            MotionSwitcherApi.RELEASE_MODE: self._release_mode,
        }

    def _select_mode(self, parameter: str) -> Reply:
        name = field(parameter, 'name')
        if name not in MODES:
            return BAD_PARAMETER
        self._robot.sport.mode = name
        self._robot.take(STANDING)
        return Reply()

    def _release_mode(self, parameter: str) -> Reply:
        self._robot.sport.mode = RELEASED
        self._robot.take(DAMPED)
        return Reply()

    def _obstacles_avoid(self) -> Mapping[int, Act]:
        return {
            ObstaclesAvoidApi.SWITCH_SET: self._set_avoidance,
            ObstaclesAvoidApi.SWITCH_GET: lambda _: Reply(content={'enable': self._robot.avoids}),
            ObstaclesAvoidApi.MOVE: self._move,
            ObstaclesAvoidApi.USE_REMOTE_COMMAND_FROM_API: self._use_api,
        }

    def _set_avoidance(self, parameter: str) -> Reply:
        on = field(parameter, 'enable')
        if not isinstance(on, bool):
            return BAD_PARAMETER
        self._robot.avoids = on
        return Reply()

    def _use_api(self, parameter: str) -> Reply:
        on = field(parameter, 'is_remote_commands_from_api')
        if not isinstance(on, bool):
            return BAD_PARAMETER
        self.remote_from_api = on
        return Reply()

    def _move(self, parameter: str) -> Reply:
        """Walk and say nothing; without 1004, 3202 as one user reports of a real robot."""
        speeds = numbers(read(parameter), ('x', 'y', 'yaw'))
        if speeds is None:
            return BAD_PARAMETER
        if not self.remote_from_api:
            return Reply(Status.SERVER_ERROR)
        x, y, yaw = speeds
        walks = self._robot.walk((x, y, yaw), avoiding=True)
        return Reply(Status.OK if walks else Status.SPORT_ERROR, silent=True)

    def _vui(self) -> Mapping[int, Act]:
        robot = self._robot
        return {
            VuiApi.SET_SWITCH: self._set_voice,
            VuiApi.GET_SWITCH: lambda _: Reply(content={'enable': self.voice_on}),
            VuiApi.SET_VOLUME: lambda parameter: self._set_level('volume', parameter),
            VuiApi.GET_VOLUME: lambda _: Reply(content={'volume': robot.volume}),
            VuiApi.SET_BRIGHTNESS: lambda parameter: self._set_level('brightness', parameter),
            VuiApi.GET_BRIGHTNESS: lambda _: Reply(content={'brightness': robot.brightness}),
            VuiApi.SET_COLOR: self._set_color,
        }

    def _set_voice(self, parameter: str) -> Reply:
        on = field(parameter, 'enable')
        if on not in (0, 1):
            return BAD_PARAMETER
        self.voice_on = int(on)
        return Reply()

    def _set_level(self, name: str, parameter: str) -> Reply:
        level = field(parameter, name)
        if level not in range(11):
            return BAD_PARAMETER
        setattr(self._robot, name, int(level))
        return Reply()

    def _set_color(self, parameter: str) -> Reply:
        if field(parameter, 'color') not in COLORS:
            return BAD_PARAMETER
        self.color = dict(read(parameter))
        return Reply()
