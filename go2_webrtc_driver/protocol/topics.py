"""
Names and numbers of the wire: data-channel message types, topics and request ids.

Source of all of them: the constants of unitree_webrtc_connect 2.2.0, which were read
out of the vendor's app; that they work is proven by its users, not by us.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class MessageType(str, Enum):
    """What the ``type`` of a data-channel message can be."""

    VALIDATION = 'validation'
    SUBSCRIBE = 'subscribe'
    UNSUBSCRIBE = 'unsubscribe'
    MESSAGE = 'msg'
    REQUEST = 'req'
    RESPONSE = 'res'
    VIDEO = 'vid'
    AUDIO = 'aud'
    ERROR = 'err'
    HEARTBEAT = 'heartbeat'
    INNER_REQUEST = 'rtc_inner_req'
    REPORT = 'rtc_report'
    FAULTS = 'errors'
    FAULT_ADDED = 'add_error'
    FAULT_REMOVED = 'rm_error'


class Topic(str, Enum):
    """Topics of the robot; the value is the name on the wire."""

    SPORT_MODE_STATE = 'rt/lf/sportmodestate'
    LOW_STATE = 'rt/lf/lowstate'
    ROBOT_POSE = 'rt/utlidar/robot_pose'
    MULTIPLE_STATE = 'rt/multiplestate'
    VOXEL_MAP = 'rt/utlidar/voxel_map_compressed'
    LIDAR_SWITCH = 'rt/utlidar/switch'
    SPORT_REQUEST = 'rt/api/sport/request'
    SERVICE_STATE = 'rt/servicestate'
    LIDAR_STATE = 'rt/utlidar/lidar_state'
    WIRELESS_CONTROLLER = 'rt/wirelesscontroller'
    MOTION_SWITCHER_REQUEST = 'rt/api/motion_switcher/request'
    OBSTACLES_AVOID_REQUEST = 'rt/api/obstacles_avoid/request'
    VUI_REQUEST = 'rt/api/vui/request'


class SportApi(IntEnum):
    """
    Requests on ``rt/api/sport/request`` that the normal and the MCF mode share.

    The numbers are those of both tables of unitree_webrtc_connect 2.2.0.
    """

    DAMP = 1001
    BALANCE_STAND = 1002
    STOP_MOVE = 1003
    STAND_UP = 1004
    STAND_DOWN = 1005
    RECOVERY_STAND = 1006
    EULER = 1007
    MOVE = 1008
    SIT = 1009
    RISE_SIT = 1010
    SPEED_LEVEL = 1015
    HELLO = 1016
    STRETCH = 1017
    CONTINUOUS_GAIT = 1019
    CONTENT = 1020
    DANCE1 = 1022
    DANCE2 = 1023
    GET_SPEED_LEVEL = 1026
    SWITCH_JOYSTICK = 1027
    POSE = 1028
    SCRAPE = 1029
    FRONT_FLIP = 1030
    FRONT_JUMP = 1031
    FRONT_POUNCE = 1032
    GET_STATE = 1034
    FINGER_HEART = 1036


class NormalApi(IntEnum):
    """
    Requests on ``rt/api/sport/request`` that only the normal mode has.

    The numbers are those of ``SPORT_CMD`` of unitree_webrtc_connect 2.2.0, which names
    1045 twice, ``LeadFollow`` and ``FreeWalk``.
    """

    SWITCH_GAIT = 1011
    TRIGGER = 1012
    BODY_HEIGHT = 1013
    FOOT_RAISE_HEIGHT = 1014
    TRAJECTORY_FOLLOW = 1018
    WALLOW = 1021
    GET_BODY_HEIGHT = 1024
    GET_FOOT_RAISE_HEIGHT = 1025
    WIGGLE_HIPS = 1033
    ECONOMIC_GAIT = 1035
    STAND_OUT = 1039
    LEFT_FLIP = 1042
    RIGHT_FLIP = 1043
    BACK_FLIP = 1044
    FREE_WALK = 1045
    STAND_ON_HIND_LEGS = 1050
    CROSS_WALK = 1051
    HANDSTAND = 1301
    CROSS_STEP = 1302
    ONE_SIDED_STEP = 1303
    BOUND = 1304
    MOON_WALK = 1305


class McfApi(IntEnum):
    """
    Requests on ``rt/api/sport/request`` that only the MCF mode has (firmware 1.1.7 and later).

    The numbers are those of ``SPORT_CMD_MCF`` of unitree_webrtc_connect 2.2.0.
    """

    STATIC_WALK = 1061
    TROT_RUN = 1062
    ECONOMIC_GAIT = 1063
    LEFT_FLIP = 2041
    BACK_FLIP = 2043
    HANDSTAND = 2044
    FREE_WALK = 2045
    FREE_BOUND = 2046
    FREE_JUMP = 2047
    FREE_AVOID = 2048
    CLASSIC_WALK = 2049
    BACK_STAND = 2050
    CROSS_STEP = 2051
    SET_AUTO_RECOVERY = 2054
    GET_AUTO_RECOVERY = 2055
    LEAD_FOLLOW = 2056
    SWITCH_AVOID_MODE = 2058


class MotionSwitcherApi(IntEnum):
    """Requests on ``rt/api/motion_switcher/request`` (source: unitree_sdk2_python)."""

    CHECK_MODE = 1001
    SELECT_MODE = 1002
    RELEASE_MODE = 1003


class ObstaclesAvoidApi(IntEnum):
    """Requests on ``rt/api/obstacles_avoid/request`` (unitree_webrtc_connect 2.2.0)."""

    SWITCH_SET = 1001
    SWITCH_GET = 1002
    MOVE = 1003
    USE_REMOTE_COMMAND_FROM_API = 1004


class VuiApi(IntEnum):
    """
    Requests on ``rt/api/vui/request``: lamp and loudspeaker.

    1001 to 1006 stand in unitree_sdk2; 1007 in an example of unitree_webrtc_connect.
    """

    SET_SWITCH = 1001
    GET_SWITCH = 1002
    SET_VOLUME = 1003
    GET_VOLUME = 1004
    SET_BRIGHTNESS = 1005
    GET_BRIGHTNESS = 1006
    SET_COLOR = 1007


class Status(IntEnum):
    """Status codes of a response (source: unitree_sdk2_python, read by others)."""

    OK = 0
    SERVER_ERROR = 3202
    API_NOT_IMPLEMENTED = 3203
    BAD_PARAMETER = 3204
    SPORT_ERROR = 4101
    SPORT_NOT_INITIALIZED = 4202


class Mode(IntEnum):
    """``mode`` of the sport state (vendor's documentation of SportModeState, second hand)."""

    IDLE = 0
    BALANCE_STAND = 1
    POSE = 2
    LOCOMOTION = 3
    LIE_DOWN = 5
    JOINT_LOCK = 6
    DAMPING = 7
    RECOVERY_STAND = 8
    SIT = 10
    FRONT_FLIP = 11
    FRONT_JUMP = 12
    FRONT_POUNCE = 13
