"""
Table 3: what a person can ask the robot to do by name, and its number in each mode.

Before firmware 1.1.7 a robot is in a mode such as ``normal`` or ``ai``; since then the
modes are merged into ``mcf``, where some numbers differ and some actions are gone. The
numbers are those of ``topics``; that each of them does what its name says was not tried.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidCommand
from .commands import Request
from .messages import Message
from .topics import McfApi, MotionSwitcherApi, NormalApi, SportApi, Topic

MCF = 'mcf'
_MODE_NAME = re.compile('[a-z_]{1,32}')
ASK_MODE = Request(Topic.MOTION_SWITCHER_REQUEST, MotionSwitcherApi.CHECK_MODE)


@dataclass(frozen=True)
class Action:
    """
    Something the robot does once.

    Attributes:
        name: of the service that asks for it.
        normal: its number in the normal mode; None: it does not have it.
        mcf: its number in the MCF mode; None: it does not have it.
        parameter: its arguments; None for none.
        timeout: for the robot's answer [s]; a gesture answers when it is over.
        acrobatic: it needs room and a soft floor.
    """

    name: str
    normal: int | None
    mcf: int | None
    parameter: Any = None
    timeout: float = 5.0
    acrobatic: bool = False

    def request(self, mode: str) -> Request:
        """
        Return the request for a robot in ``mode``.

        Raises:
            InvalidCommand: the mode does not have the action.
        """
        number = self.mcf if mode == MCF else self.normal
        if number is None:
            raise InvalidCommand(f'{self.name}: a robot in the mode {mode!r} does not have it')
        return Request(Topic.SPORT_REQUEST, number, self.parameter)


def _both(name: str, number: int, timeout: float = 5.0, acrobatic: bool = False) -> Action:
    return Action(name, number, number, None, timeout, acrobatic)


GESTURE, FLIP = 15.0, 10.0  # s, that the longest of them may take; no source
ACTIONS: tuple[Action, ...] = (
    _both('stand_up', SportApi.STAND_UP),
    _both('stand_down', SportApi.STAND_DOWN),
    _both('balance_stand', SportApi.BALANCE_STAND),
    _both('recovery_stand', SportApi.RECOVERY_STAND),
    _both('sit', SportApi.SIT),
    _both('rise_sit', SportApi.RISE_SIT),
    _both('stop', SportApi.STOP_MOVE),
    _both('damp', SportApi.DAMP),
    _both('hello', SportApi.HELLO, GESTURE),
    _both('stretch', SportApi.STRETCH, GESTURE),
    _both('content', SportApi.CONTENT, GESTURE),
    _both('dance1', SportApi.DANCE1, 2 * GESTURE),
    _both('dance2', SportApi.DANCE2, 2 * GESTURE),
    _both('scrape', SportApi.SCRAPE, GESTURE),
    _both('finger_heart', SportApi.FINGER_HEART, GESTURE),
    Action('wallow', NormalApi.WALLOW, None, None, GESTURE),
    Action('wiggle_hips', NormalApi.WIGGLE_HIPS, None, None, GESTURE),
    _both('front_flip', SportApi.FRONT_FLIP, FLIP, acrobatic=True),
    _both('front_jump', SportApi.FRONT_JUMP, FLIP, acrobatic=True),
    _both('front_pounce', SportApi.FRONT_POUNCE, FLIP, acrobatic=True),
    Action('left_flip', NormalApi.LEFT_FLIP, McfApi.LEFT_FLIP, None, FLIP, True),
    Action('right_flip', NormalApi.RIGHT_FLIP, None, None, FLIP, True),
    Action('back_flip', NormalApi.BACK_FLIP, McfApi.BACK_FLIP, None, FLIP, True),
    Action('handstand', NormalApi.HANDSTAND, McfApi.HANDSTAND, {'data': True}, FLIP, True),
)
BY_NAME = {action.name: action for action in ACTIONS}
HALTING = ('stop', 'damp')
STANDING_UP = ('stand_up', 'recovery_stand')  # what ends the latch of damp

GAITS: dict[str, Action] = {
    'static_walk': Action('static_walk', None, McfApi.STATIC_WALK),
    'trot_run': Action('trot_run', None, McfApi.TROT_RUN),
    'classic_walk': Action('classic_walk', None, McfApi.CLASSIC_WALK, {'data': True}),
    'free_walk': Action('free_walk', NormalApi.FREE_WALK, McfApi.FREE_WALK, {'data': True}),
    'economic': Action('economic', NormalApi.ECONOMIC_GAIT, McfApi.ECONOMIC_GAIT, {'data': True}),
}


def action_of(request: Request) -> Action | None:
    """Return the action that a request asks for by its number; None: it is none of them."""
    if request.topic != Topic.SPORT_REQUEST:
        return None
    return next((each for each in ACTIONS if request.api_id in (each.normal, each.mcf)), None)


def decode_mode(response: Message) -> str:
    """Return the mode in the answer to ``ASK_MODE``; ``normal`` if it does not say."""
    try:
        name = json.loads(response.data['data'])['name']
    except (TypeError, KeyError, ValueError, RecursionError):
        return 'normal'
    return name if isinstance(name, str) and _MODE_NAME.fullmatch(name) else 'normal'
