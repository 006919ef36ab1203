"""
What the robot says about itself: ``decode_x(message) -> X`` and ``encode_x(X) -> data``.

Shapes are those of recorded messages of real robots (an IMU in full only in the sport
state, a reduced low state); ``encode_*`` is the robot's side and keeps its quirk of
sending zeros as JSON integers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import DecodeError
from .fields import Fields, Gaps, spare
from .messages import Message

Vector = tuple[float, float, float]
NOT_TOLD = -1  # in place of a number that the robot did not send
LEGS = 4
JOINTS = 12
MOTORS = 20  # slots on the wire; those above JOINTS are empty


@dataclass(frozen=True)
class Imu:
    """
    The robot's inertial measurement unit.

    Attributes:
        orientation: quaternion x, y, z, w (the wire has w first).
        angular_velocity: about x, y, z of the body [rad/s].
        linear_acceleration: along x, y, z of the body, gravity included [m/s^2].
        rpy: roll, pitch, yaw [rad].
        temperature: as the robot gives it; unit not known.
    """

    orientation: tuple[float, float, float, float]
    angular_velocity: Vector
    linear_acceleration: Vector
    rpy: Vector
    temperature: float


@dataclass(frozen=True)
class SportModeState:
    """
    ``rt/lf/sportmodestate``, 20 Hz.

    Attributes:
        stamp: the robot's clock [s].
        error_code: 100 at rest on a healthy robot (recorded).
        mode: see ``topics.Mode``.
        gait_type: the robot's number of the gait.
        body_height: above the floor [m].
        position: of the body in ``odom`` [m].
        velocity: of the body along its own x, y, z [m/s]. That the axes are the body's is
            what other drivers assume; no source says so.
        yaw_speed: turn rate about +z [rad/s].
        imu: orientation, rates and accelerations.
        gaps: what was expected of velocity or imu, and what came; each is None then. Of the
            rest, what is missing is ``NOT_TOLD``, NaN or zeros.
        foot_force: per foot, FR FL RR RL likely (SDK order); unit not known.
        range_obstacle: zero on every recorded robot.
        progress: of a gesture, 0 to 1. This and what follows is encoded, not decoded:
            nobody reads it, and the recorded robot sent zeros.
        foot_raise_height: of a step above the floor [m].
        foot_position_body: x, y, z per foot in ``base_link``, FR FL RR RL [m].
        foot_speed_body: likewise [m/s].
    """

    stamp: float
    error_code: int
    mode: int
    gait_type: int
    body_height: float
    position: Vector
    velocity: Vector | None
    yaw_speed: float
    imu: Imu | None
    foot_force: tuple[float, ...] = (0.0,) * LEGS
    range_obstacle: tuple[float, ...] = (0.0,) * LEGS
    progress: float = 0.0
    foot_raise_height: float = 0.0
    foot_position_body: tuple[float, ...] = (0.0,) * JOINTS
    foot_speed_body: tuple[float, ...] = (0.0,) * JOINTS
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Motor:
    """
    One joint's motor.

    Attributes:
        position: joint angle [rad].
        temperature: [degree Celsius].
        lost: packets the motor's bus has lost.
    """

    position: float
    temperature: float
    lost: int


@dataclass(frozen=True)
class Battery:
    """
    The battery pack.

    Attributes:
        charge: state of charge, 0 to 1.
        current: negative while discharging [A].
        cycles: charge cycles so far.
        temperatures: two of the cells, two of the controller [degree Celsius].
    """

    charge: float
    current: float
    cycles: int
    temperatures: tuple[float, float, float, float]


@dataclass(frozen=True)
class LowState:
    """
    ``rt/lf/lowstate``; 1 Hz recorded on firmware 1.1.7, other rates reported.

    Attributes:
        rpy: roll, pitch, yaw of the body [rad].
        motors: twelve; FR, FL, RR, RL, each hip, thigh, calf.
        battery: the pack.
        voltage: of the power bus [V].
        temperature: of the main board [degree Celsius].
        foot_force: per foot, in the motors' order of legs; unit not known.
        gaps: what was expected of motors, battery or foot_force, and what came; each is None
            then. Of the rest, what is missing is NaN or zeros.
    """

    rpy: Vector
    motors: tuple[Motor, ...] | None
    battery: Battery | None
    voltage: float
    temperature: float
    foot_force: tuple[float, ...] | None
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class RobotPose:
    """
    ``rt/utlidar/robot_pose``, about 19 Hz: the body in ``odom``.

    Attributes:
        stamp: the robot's clock [s].
        position: x, y, z [m].
        orientation: quaternion x, y, z, w.
    """

    stamp: float
    position: Vector
    orientation: tuple[float, float, float, float]


@dataclass(frozen=True)
class MultipleState:
    """
    ``rt/multiplestate``, 1 Hz.

    Attributes:
        brightness: of the head light, 0 to 10.
        volume: of the speaker, 0 to 10.
        obstacle_avoidance: whether the robot avoids obstacles.
        uwb: whether the remote's positioning is on.
    """

    brightness: int
    volume: int
    obstacle_avoidance: bool
    uwb: bool


@dataclass(frozen=True)
class Service:
    """
    One of the robot's services in ``rt/servicestate``.

    Attributes:
        name: of the service.
        running: whether it runs (``status`` 1 on the wire).
        protected: whether the robot refuses to switch it off.
    """

    name: str
    running: bool
    protected: bool


@dataclass(frozen=True)
class LidarState:
    """
    ``rt/utlidar/lidar_state``, about 1 Hz; the fields of unitree_go/LidarState that are used.

    Attributes:
        stamp: the robot's clock [s].
        error: 0 for none.
        dirt: on the lidar's window [%].
        rotation_speed: of the lidar; unit not known.
        cloud_frequency: of its clouds [Hz]; 15.4 was measured on a real robot.
        cloud_size: points of a cloud.
        packet_loss: share of the clouds' packets that were lost; unit not known.
    """

    stamp: float
    error: int
    dirt: int
    rotation_speed: float
    cloud_frequency: float
    cloud_size: int
    packet_loss: float


def decode_sport_mode_state(message: Message) -> SportModeState:
    """Return the sport state; raises DecodeError if it tells nothing of the motion."""
    fields, gaps = Fields(message.topic, message.data), Gaps()
    velocity = gaps.part(lambda: _vector(fields, 'velocity'))
    imu = gaps.part(lambda: _decode_imu(message.topic, fields.object('imu_state')))
    if velocity is None and imu is None:
        raise gaps.errors[0]
    return SportModeState(
        stamp=spare(lambda: _decode_stamp(fields.object('stamp')), 0.0),
        error_code=spare(lambda: fields.integer('error_code'), NOT_TOLD),
        mode=spare(lambda: fields.integer('mode'), NOT_TOLD),
        gait_type=spare(lambda: fields.integer('gait_type'), NOT_TOLD),
        body_height=spare(lambda: fields.number('body_height'), math.nan),
        position=spare(lambda: _vector(fields, 'position'), (0.0, 0.0, 0.0)),
        velocity=velocity,
        yaw_speed=spare(lambda: fields.number('yaw_speed'), 0.0),
        imu=imu,
        foot_force=spare(lambda: fields.numbers('foot_force', LEGS), (0.0,) * LEGS),
        range_obstacle=spare(lambda: fields.numbers('range_obstacle', LEGS), (0.0,) * LEGS),
        gaps=gaps.texts,
    )


def encode_sport_mode_state(state: SportModeState) -> dict[str, Any]:
    """Return the ``data`` that :func:`decode_sport_mode_state` reads; of a state without gaps."""
    assert state.imu is not None
    assert state.velocity is not None
    x, y, z, w = state.imu.orientation
    imu = {
        'quaternion': _wire((w, x, y, z)),
        'gyroscope': _wire(state.imu.angular_velocity),
        'accelerometer': _wire(state.imu.linear_acceleration),
        'rpy': _wire(state.imu.rpy),
        'temperature': _wire_number(state.imu.temperature),
    }
    return {
        'stamp': _encode_stamp(state.stamp),
        'error_code': state.error_code,
        'imu_state': imu,
        'mode': state.mode,
        'progress': _wire_number(state.progress),
        'gait_type': state.gait_type,
        'foot_raise_height': _wire_number(state.foot_raise_height),
        'position': _wire(state.position),
        'body_height': _wire_number(state.body_height),
        'velocity': _wire(state.velocity),
        'yaw_speed': _wire_number(state.yaw_speed),
        'range_obstacle': _wire(state.range_obstacle),
        'foot_force': _wire(state.foot_force),
        'foot_position_body': _wire(state.foot_position_body),
        'foot_speed_body': _wire(state.foot_speed_body),
    }


def decode_low_state(message: Message) -> LowState:
    """Return the low state; raises DecodeError if nothing of it can be read."""
    fields, gaps = Fields(message.topic, message.data), Gaps()
    motors = gaps.part(lambda: _decode_motors(fields.objects('motor_state', JOINTS)))
    battery = gaps.part(lambda: _decode_battery(fields.object('bms_state')))
    foot_force = gaps.part(lambda: fields.numbers('foot_force', LEGS))
    if motors is None and battery is None and foot_force is None:
        raise gaps.errors[0]
    return LowState(
        rpy=spare(lambda: _vector(fields.object('imu_state'), 'rpy'), (0.0, 0.0, 0.0)),
        motors=motors,
        battery=battery,
        voltage=spare(lambda: fields.number('power_v'), math.nan),
        temperature=spare(lambda: fields.number('temperature_ntc1'), math.nan),
        foot_force=foot_force,
        gaps=gaps.texts,
    )


def _decode_motors(motors: list[Fields]) -> tuple[Motor, ...]:
    return tuple(
        Motor(
            each.number('q'),
            spare(partial(each.number, 'temperature'), math.nan),
            spare(partial(each.integer, 'lost'), 0),
        )
        for each in motors[:JOINTS]
    )


def encode_low_state(state: LowState) -> dict[str, Any]:
    """Return the ``data`` that :func:`decode_low_state` reads; of a state without gaps."""
    assert state.motors is not None
    assert state.battery is not None
    assert state.foot_force is not None
    motors = [
        {'q': _wire_number(m.position), 'temperature': _wire_number(m.temperature), 'lost': m.lost}
        for m in (*state.motors, *[Motor(0.0, 0.0, 0)] * (MOTORS - len(state.motors)))
    ]
    temperatures = _wire(state.battery.temperatures)
    return {
        'imu_state': {'rpy': _wire(state.rpy)},
        'motor_state': [{**motor, 'reserve': [0, 0]} for motor in motors],
        'bms_state': {
            'version_high': 1,
            'version_low': 18,
            'soc': round(state.battery.charge * 100),
            'current': round(state.battery.current * 1000),
            'cycle': state.battery.cycles,
            'bq_ntc': temperatures[:2],
            'mcu_ntc': temperatures[2:],
        },
        'foot_force': _wire(state.foot_force),
        'temperature_ntc1': _wire_number(state.temperature),
        'power_v': _wire_number(state.voltage),
    }


def decode_robot_pose(message: Message) -> RobotPose:
    """Return the pose; raises DecodeError."""
    fields = Fields(message.topic, message.data)
    pose = fields.object('pose')
    position, orientation = pose.object('position'), pose.object('orientation')
    quaternion = tuple(orientation.number(axis) for axis in 'xyzw')
    return RobotPose(
        stamp=_decode_stamp(fields.object('header').object('stamp')),
        position=(position.number('x'), position.number('y'), position.number('z')),
        orientation=_unit(message.topic, quaternion),
    )


def encode_robot_pose(state: RobotPose) -> dict[str, Any]:
    """Return the ``data`` that :func:`decode_robot_pose` reads."""
    return {
        'header': {'stamp': _encode_stamp(state.stamp), 'frame_id': 'odom'},
        'pose': {
            'position': dict(zip('xyz', _wire(state.position), strict=True)),
            'orientation': dict(zip('xyzw', _wire(state.orientation), strict=True)),
        },
    }


def decode_multiple_state(message: Message) -> MultipleState:
    """Return the state; the robot often sends it as JSON in a string; raises DecodeError."""
    content = message.data
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            raise DecodeError(message.topic, f'expected JSON, got {content[:40]!r}') from None
    fields = Fields(message.topic, content)
    return MultipleState(
        brightness=fields.integer('brightness'),
        volume=fields.integer('volume'),
        obstacle_avoidance=fields.flag('obstaclesAvoidSwitch'),
        uwb=fields.flag('uwbSwitch'),
    )


def encode_multiple_state(state: MultipleState) -> str:
    """Return the ``data`` that :func:`decode_multiple_state` reads: JSON in a string."""
    return json.dumps(
        {
            'brightness': state.brightness,
            'obstaclesAvoidSwitch': state.obstacle_avoidance,
            'uwbSwitch': state.uwb,
            'volume': state.volume,
        }
    )


def encode_service_state(services: Iterable[Service]) -> str:
    """Return the ``data`` of ``rt/servicestate``: JSON in a string, as two web clients read it."""
    return json.dumps(
        [
            {'name': each.name, 'status': int(each.running), 'protect': int(each.protected)}
            for each in services
        ]
    )


def encode_lidar_state(state: LidarState) -> dict[str, Any]:
    """Return the ``data`` of ``rt/utlidar/lidar_state``; its stamp is a number [s]."""
    return {
        'stamp': state.stamp,
        'firmware_version': '',
        'software_version': '1.0.0.38',
        'sdk_version': '',
        'sys_rotation_speed': _wire_number(state.rotation_speed),
        'com_rotation_speed': _wire_number(state.rotation_speed),
        'error_state': state.error,
        'dirty_percentage': state.dirt,
        'cloud_frequency': _wire_number(state.cloud_frequency),
        'cloud_packet_loss_rate': _wire_number(state.packet_loss),
        'cloud_size': state.cloud_size,
        'cloud_scan_num': 18,
        'imu_frequency': 0,
        'imu_packet_loss_rate': 0,
        'imu_rpy': [0, 0, 0],
        'serial_recv_stamp': state.stamp,
        'serial_buffer_size': 0,
        'serial_buffer_read': 0,
    }


def _decode_imu(topic: str, fields: Fields) -> Imu:
    w, x, y, z = fields.numbers('quaternion', 4)
    return Imu(
        orientation=_unit(topic, (x, y, z, w)),
        angular_velocity=_vector(fields, 'gyroscope'),
        linear_acceleration=_vector(fields, 'accelerometer'),
        rpy=_vector(fields, 'rpy'),
        temperature=fields.number('temperature'),
    )


def _decode_battery(fields: Fields) -> Battery:
    cells, controller = fields.numbers('bq_ntc', 2), fields.numbers('mcu_ntc', 2)
    return Battery(
        charge=fields.number('soc') / 100.0,
        current=fields.number('current') / 1000.0,
        cycles=fields.integer('cycle'),
        temperatures=(*cells, *controller),  # type: ignore[arg-type]
    )


def _unit(topic: str, quaternion: tuple[float, ...]) -> tuple[float, float, float, float]:
    length = sum(part * part for part in quaternion) ** 0.5
    if not 0.9 < length < 1.1:
        raise DecodeError(topic, f'expected a quaternion of unit length, got {quaternion}')
    x, y, z, w = (part / length for part in quaternion)
    return x, y, z, w


def _vector(fields: Fields, name: str) -> Vector:
    x, y, z = fields.numbers(name, 3)
    return x, y, z


def _decode_stamp(fields: Fields) -> float:
    return fields.integer('sec') + fields.integer('nanosec') * 1e-9


def _encode_stamp(stamp: float) -> dict[str, int]:
    return {'sec': int(stamp), 'nanosec': int(stamp % 1.0 * 1e9)}


def _wire(values: tuple[float, ...]) -> list[float]:
    return [_wire_number(value) for value in values]


def _wire_number(value: float) -> float:
    return round(value, 6) or 0
