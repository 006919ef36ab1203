"""
The sport service of the simulated robot: requests of the normal and the MCF mode.

Ids and modes are those of unitree_webrtc_connect 2.2.0, ranges the vendor's documentation
at second hand. Ours, as a real robot's way is not known: how long gestures take; that Move
is refused with 4101 meanwhile, as while the robot lies; that StopMove ends them; that
Move is answered like any other request; that the response comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...protocol.actions import MCF
from ...protocol.topics import McfApi, Mode, NormalApi, SportApi, Status
from ..body.body import DAMPED, LOCKED, LYING, SITTING, STANDING, Body, Gesture, Posture
from ..body.trot import FOOT_RAISE
from .reply import BAD_PARAMETER, Reply, field, numbers, read

RELEASED = ''
REFUSED = Reply(Status.SPORT_ERROR)

POSTURE_AFTER: Mapping[int, Posture] = {
    SportApi.DAMP: DAMPED,
    SportApi.BALANCE_STAND: STANDING,
    SportApi.STAND_UP: LOCKED,
    SportApi.STAND_DOWN: LYING,
    SportApi.RECOVERY_STAND: STANDING,
    SportApi.SIT: SITTING,
    SportApi.RISE_SIT: STANDING,
}
GESTURES: Mapping[int, Gesture] = {
    SportApi.HELLO: Gesture(4.0),
    SportApi.STRETCH: Gesture(5.0),
    SportApi.CONTENT: Gesture(4.0),
    SportApi.DANCE1: Gesture(14.0),
    SportApi.DANCE2: Gesture(18.0),
    SportApi.POSE: Gesture(4.0),
    SportApi.SCRAPE: Gesture(6.0),
    SportApi.FINGER_HEART: Gesture(5.0),
    SportApi.FRONT_FLIP: Gesture(3.0, Mode.FRONT_FLIP),
    SportApi.FRONT_JUMP: Gesture(3.0, Mode.FRONT_JUMP),
    SportApi.FRONT_POUNCE: Gesture(3.0, Mode.FRONT_POUNCE),
    NormalApi.WALLOW: Gesture(6.0),
    NormalApi.WIGGLE_HIPS: Gesture(5.0),
    NormalApi.STAND_OUT: Gesture(5.0),
    NormalApi.LEFT_FLIP: Gesture(3.0),
    NormalApi.RIGHT_FLIP: Gesture(3.0),
    NormalApi.BACK_FLIP: Gesture(3.0),
    NormalApi.STAND_ON_HIND_LEGS: Gesture(5.0),
    NormalApi.HANDSTAND: Gesture(5.0),
    NormalApi.MOON_WALK: Gesture(6.0),
    McfApi.LEFT_FLIP: Gesture(3.0),
    McfApi.BACK_FLIP: Gesture(3.0),
    McfApi.HANDSTAND: Gesture(5.0),
    McfApi.BACK_STAND: Gesture(5.0),
    McfApi.FREE_JUMP: Gesture(3.0),
}
GAIT_AFTER: Mapping[int, int] = {McfApi.STATIC_WALK: 1, McfApi.TROT_RUN: 2}
SWITCHES = {
    SportApi.CONTINUOUS_GAIT, NormalApi.TRIGGER, NormalApi.ECONOMIC_GAIT, NormalApi.FREE_WALK,
    NormalApi.CROSS_WALK, NormalApi.CROSS_STEP, NormalApi.ONE_SIDED_STEP, NormalApi.BOUND,
    McfApi.ECONOMIC_GAIT, McfApi.FREE_WALK, McfApi.FREE_BOUND, McfApi.FREE_AVOID,
    McfApi.CLASSIC_WALK, McfApi.CROSS_STEP, McfApi.LEAD_FOLLOW, McfApi.SWITCH_AVOID_MODE,
}  # fmt: skip


class Sport:
    """
    The sport service.

    Attributes:
        mode: ``mcf``, ``normal`` or ``ai``; empty after it was released.
        joystick_on: whether ``rt/wirelesscontroller`` moves the robot.
        speed_level: -1, 0 or 1; has no effect here.
        gait: number of the gait it reports while it walks.
        auto_recovery: whether it would get up by itself; has no effect here.
        switches: the parameter of those requests that have no effect here, by id.
    """

    def __init__(self, body: Body, mode: str = MCF) -> None:
        self.mode = mode
        self.joystick_on = True
        self.speed_level = 0
        self.gait = 1
        self.auto_recovery = True
        self.switches: dict[int, str] = {}
        self._body = body
        self._acts: Mapping[int, Callable[[str], Reply]] = {
            SportApi.MOVE: self._move,
            SportApi.STOP_MOVE: self._stop_move,
            SportApi.EULER: self._euler,
            SportApi.SPEED_LEVEL: self._set_speed_level,
            SportApi.SWITCH_JOYSTICK: self._switch_joystick,
            SportApi.GET_SPEED_LEVEL: lambda _: Reply(content={'data': self.speed_level}),
            SportApi.GET_STATE: self._get_state,
            NormalApi.SWITCH_GAIT: self._switch_gait,
            NormalApi.BODY_HEIGHT: self._set_body_height,
            NormalApi.FOOT_RAISE_HEIGHT: self._set_foot_raise,
            NormalApi.GET_BODY_HEIGHT: lambda _: Reply(content={'data': body.height_offset}),
            NormalApi.GET_FOOT_RAISE_HEIGHT: lambda _: Reply(content={'data': self._foot_raise}),
            McfApi.SET_AUTO_RECOVERY: self._set_auto_recovery,
            McfApi.GET_AUTO_RECOVERY: lambda _: Reply(content={'data': self.auto_recovery}),
        }

    def answer(self, api_id: int, parameter: str, now: float) -> Reply:
        """Carry out a request at ``now`` [s] and return what the robot answers."""
        self._body.advance(now)
        if self.mode == RELEASED:
            return Reply(Status.SPORT_NOT_INITIALIZED)
        if not self._knows(api_id):
            return Reply(Status.API_NOT_IMPLEMENTED)
        if act := self._acts.get(api_id):
            return act(parameter)
        if posture := POSTURE_AFTER.get(api_id):
            self._body.take(posture)
            return Reply()
        if gesture := GESTURES.get(api_id):
            return self._gesture(gesture, parameter)
        return self._set(api_id, parameter)

    def _knows(self, api_id: int) -> bool:
        apis: Any = (SportApi, McfApi if self.mode == MCF else NormalApi)
        return any(api_id in api._value2member_map_ for api in apis)

    def _move(self, parameter: str) -> Reply:
        speeds = numbers(read(parameter), 'xyz')
        if speeds is None:
            return BAD_PARAMETER
        x, y, yaw = speeds
        return Reply() if self._body.walk((x, y, yaw)) else REFUSED

    def _stop_move(self, parameter: str) -> Reply:
        self._body.halt()
        return Reply()

    def _euler(self, parameter: str) -> Reply:
        angles = numbers(read(parameter), 'xyz')
        if angles is None:
            return BAD_PARAMETER
        roll, pitch, yaw = angles
        return Reply() if self._body.tilt((roll, pitch, yaw)) else REFUSED

    def _gesture(self, gesture: Gesture, parameter: str) -> Reply:
        if field(parameter, 'data') is False:
            self._body.halt()
            return Reply()
        return Reply() if self._body.begin(gesture) else REFUSED

    def _set_speed_level(self, parameter: str) -> Reply:
        level = field(parameter, 'data')
        if level not in (-1, 0, 1):
            return BAD_PARAMETER
        self.speed_level = int(level)
        return Reply()

    def _switch_joystick(self, parameter: str) -> Reply:
        on = field(parameter, 'data')
        if not isinstance(on, bool):
            return BAD_PARAMETER
        self.joystick_on = on
        return Reply()

    def _switch_gait(self, parameter: str) -> Reply:
        gait = field(parameter, 'data')
        if gait not in (0, 1, 2, 3, 4):
            return BAD_PARAMETER
        self.gait = max(1, int(gait))
        return Reply()

    def _set_body_height(self, parameter: str) -> Reply:
        offset = numbers(read(parameter), ('data',))
        if offset is None or not -0.18 <= offset[0] <= 0.03:
            return BAD_PARAMETER
        self._body.height_offset = offset[0]
        return Reply()

    def _set_foot_raise(self, parameter: str) -> Reply:
        offset = numbers(read(parameter), ('data',))
        if offset is None or not -0.06 <= offset[0] <= 0.03:
            return BAD_PARAMETER
        self._body.foot_raise = FOOT_RAISE + offset[0]
        return Reply()

    def _set_auto_recovery(self, parameter: str) -> Reply:
        on = field(parameter, 'data')
        if not isinstance(on, bool):
            return BAD_PARAMETER
        self.auto_recovery = on
        return Reply()

    def _set(self, api_id: int, parameter: str) -> Reply:
        if api_id in GAIT_AFTER:
            self.gait = GAIT_AFTER[api_id]
            return Reply()
        if api_id not in SWITCHES:
            return Reply(Status.API_NOT_IMPLEMENTED)
        self.switches[api_id] = parameter
        return Reply()

    def _get_state(self, parameter: str) -> Reply:
        """Answer the keys that were asked for; the values are texts, as in the vendor's SDK."""
        state = {
            'state': self._body.posture.mode.name.lower(),
            'bodyHeight': self._body.height_offset,
            'footRaiseHeight': self._foot_raise,
            'speedLevel': self.speed_level,
            'gait': self.gait,
            'joystick': int(self.joystick_on),
        }
        keys = read(parameter)
        if not isinstance(keys, list):
            return BAD_PARAMETER
        return Reply(content={key: str(state[key]) for key in state if key in keys})

    @property
    def _foot_raise(self) -> float:
        return round(self._body.foot_raise - FOOT_RAISE, 6)
