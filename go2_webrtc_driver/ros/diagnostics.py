"""The state of connection and robot as diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ..protocol.state import LowState, SportModeState
from ..protocol.topics import Mode
from ..session.lasting import Status
from .conversions import JOINT_NAMES, to_header
from .shared_memory import SharedMemory

LOW_BATTERY = 0.2  # of the charge
HOT_MOTOR = 80.0  # degree Celsius; a guess, below the vendor's protection

STUCK = 'connected, but ROS callbacks do not run: the robot is stopped'

Values = Mapping[str, object]


class Diagnostics:
    """
    Makes the diagnostics of a session's status.

    Attributes:
        hardware_id: serial number or address of the robot.
        cmd_vel: why no velocity can come; empty if one can.
        loss: why the node was deactivated by itself; empty if it was not.
    """

    def __init__(self, node_name: str) -> None:
        """
        Args:
            node_name: before the name of each status.
        """
        self.hardware_id = ''
        self.cmd_vel = ''
        self.loss = ''
        self._node_name = node_name

    def array(
        self, status: Status | None, stamp: Time, shared_memory: SharedMemory | None = None
    ) -> DiagnosticArray:
        """
        Return everything there is to tell.

        Args:
            status: of the session; None: the node is not active.
            stamp: time of the array.
            shared_memory: through which pictures go; None: not known.
        """
        statuses = [self._connection(status) if status else self._inactive()]
        if shared_memory is not None:
            statuses.append(self._status('shared memory', *shared_memory.state()))
        if status is not None:
            statuses.append(self._streams(status))
        if status is not None and status.connected:
            statuses.append(self._robot(status))
        return self._array(statuses, stamp)

    def standstill(self, silence: float, stamp: Time) -> DiagnosticArray:
        """Return what to tell of a session that has told nothing for ``silence`` seconds."""
        text = f'the connection to the robot has stood still for {silence:.1f} s'
        return self._array([self._status('connection', DiagnosticStatus.ERROR, text, {})], stamp)

    def _array(self, statuses: list[DiagnosticStatus], stamp: Time) -> DiagnosticArray:
        return DiagnosticArray(header=to_header(stamp, ''), status=statuses)

    def _inactive(self) -> DiagnosticStatus:
        if self.loss:
            text = f'not active any more: {self.loss}'
            return self._status('connection', DiagnosticStatus.ERROR, text, {})
        if self.cmd_vel:
            return self._status('connection', DiagnosticStatus.WARN, self.cmd_vel, {})
        return self._status('connection', DiagnosticStatus.OK, 'not active', {})

    def _connection(self, status: Status) -> DiagnosticStatus:
        values: dict[str, object] = {
            'links so far': status.links,
            'packets dropped': status.dropped,
            'mode': status.mode or 'not known',
        }
        if not status.connected:
            values['away for [s]'] = f'{status.away_for:.1f}'
            return self._status('connection', DiagnosticStatus.ERROR, status.reason, values)
        if status.owner_is_stuck:
            return self._status('connection', DiagnosticStatus.ERROR, STUCK, values)
        if status.motion_trouble:
            text = f'connected, but the robot takes no velocities: {status.motion_trouble}'
            return self._status('connection', DiagnosticStatus.ERROR, text, values)
        if status.standstill or self.cmd_vel:
            text = status.standstill or self.cmd_vel
            return self._status('connection', DiagnosticStatus.WARN, text, values)
        return self._status('connection', DiagnosticStatus.OK, 'connected', values)

    def _streams(self, status: Status) -> DiagnosticStatus:
        values: dict[str, object] = {}
        for source, stream in sorted(status.streams.items()):
            values[f'{source} rate [Hz]'] = f'{stream.rate:.1f}'
            values[f'{source} age [s]'] = f'{stream.age:.2f}'
        if status.pictures_overdue and status.connected:
            text = f'no picture for {status.pictures_overdue:.1f} s, although requested'
            return self._status('streams', DiagnosticStatus.WARN, text, values)
        if status.unreadable:
            text = f'cannot be decoded: {"; ".join(status.unreadable)}'
            return self._status('streams', DiagnosticStatus.WARN, text, values)
        if status.overdue and status.connected:
            ages = (f'{source} for {age:.1f} s' for source, age in sorted(status.overdue.items()))
            text = f'requested but not received: {", ".join(ages)}'
            return self._status('streams', DiagnosticStatus.WARN, text, values)
        text = f'{len(status.streams)} so far'
        return self._status('streams', DiagnosticStatus.OK, text, values)

    def _robot(self, status: Status) -> DiagnosticStatus:
        troubles = [str(fault) for fault in sorted(status.faults, key=str)]
        level = DiagnosticStatus.ERROR if troubles else DiagnosticStatus.OK
        values: dict[str, object] = {'limp': status.damped}
        if status.sport is not None:
            values.update(_sport_values(status.sport))
        if status.low is not None:
            values.update(_low_values(status.low))
            warnings = _warnings(status.low)
            troubles += warnings
            level = max(level, DiagnosticStatus.WARN) if warnings else level
        return self._status('robot', level, '; '.join(troubles) or 'no fault', values)

    def _status(self, name: str, level: bytes, message: str, values: Values) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f'{self._node_name}: {name}',
            message=message,
            hardware_id=self.hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )


def _sport_values(state: SportModeState) -> Values:
    modes = {mode.value: mode.name.lower() for mode in Mode}
    return {
        'error_code': state.error_code,
        'motion': modes.get(state.mode, state.mode),
        'gait': state.gait_type,
        'body height [m]': f'{state.body_height:.2f}',
    }


def _low_values(state: LowState) -> Values:
    values: dict[str, object] = {'board [degree Celsius]': f'{state.temperature:.0f}'}
    if state.battery is not None:
        values['battery [percent]'] = f'{state.battery.charge * 100:.0f}'
    if state.motors is not None:
        values['motor packets lost'] = sum(motor.lost for motor in state.motors)
        for name, motor in zip(JOINT_NAMES, state.motors, strict=True):
            values[f'{name} [degree Celsius]'] = f'{motor.temperature:.0f}'
    return values


def _warnings(state: LowState) -> list[str]:
    warnings = []
    if state.battery is not None and state.battery.charge < LOW_BATTERY:
        warnings.append(f'battery at {state.battery.charge:.0%}')
    hot = [
        name
        for name, motor in zip(JOINT_NAMES, state.motors or (), strict=state.motors is not None)
        if motor.temperature > HOT_MOTOR
    ]
    return warnings + ([f'hot: {", ".join(hot)}'] if hot else [])
