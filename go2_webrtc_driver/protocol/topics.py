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
    CONTENT = 1020
    DANCE1 = 1022
    DANCE2 = 1023
    SWITCH_JOYSTICK = 1027
    POSE = 1028
    SCRAPE = 1029
    FINGER_HEART = 1036


class Status(IntEnum):
    """Status codes of a response (source: unitree_sdk2_python, read by others)."""

    OK = 0
    API_NOT_IMPLEMENTED = 3203
    BAD_PARAMETER = 3204
    SPORT_ERROR = 4101


class Mode(IntEnum):
    """``mode`` of the sport state (vendor's documentation of SportModeState, second hand)."""

    IDLE = 0
    BALANCE_STAND = 1
    LOCOMOTION = 3
    LIE_DOWN = 5
    JOINT_LOCK = 6
    DAMPING = 7
    RECOVERY_STAND = 8
    SIT = 10
