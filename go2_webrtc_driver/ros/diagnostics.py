"""The state of connection and robot as diagnostics: pure, except for what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ..protocol.state import LowState, SportModeState
from ..protocol.topics import Mode, Topic
from ..session.session import RobotSession
from .conversions import JOINT_NAMES, to_header
from .shared_memory import SharedMemory

SPORT, LOW = Topic.SPORT_MODE_STATE.value, Topic.LOW_STATE.value
LOW_BATTERY = 0.2  # of the charge
HOT_MOTOR = 80.0  # degree Celsius; a guess, below the vendor's protection

STUCK = 'connected, but ROS callbacks do not run: the robot is stopped'

Values = Mapping[str, object]


class Diagnostics:
    """
    Makes the array; knows the last one, to tell rates.

    Attributes:
        loss: why the node was deactivated by itself; empty if it was not.
    """

    def __init__(self, node_name: str, hardware_id: str) -> None:
        """
        Args:
            node_name: before the name of each status.
            hardware_id: serial number or address of the robot.
        """
        self.loss = ''
        self._node_name = node_name
        self._hardware_id = hardware_id
        self._counted: dict[str, int] = {}
        self._counted_at = 0.0

    def array(
        self,
        session: RobotSession | None,
        latest: Mapping[str, Any],
        now: float,
        stamp: Time,
        shared_memory: SharedMemory | None = None,
    ) -> DiagnosticArray:
        """
        Return everything there is to tell.

        Args:
            session: None: the node is not active.
            latest: newest sample of each source.
            now: on the clock of the session's loop [s].
            stamp: time of the array.
            shared_memory: through which pictures go; None: not known.
        """
        statuses = [self._connection(session, now)]
        if shared_memory is not None:
            statuses.append(self._status('shared memory', *shared_memory.state()))
        if session is not None:
            statuses.append(self._streams(session, now))
            if session.connected:
                statuses.append(self._robot(session, latest))
        return DiagnosticArray(header=to_header(stamp, ''), status=statuses)

    def _connection(self, session: RobotSession | None, now: float) -> DiagnosticStatus:
        if session is None and self.loss:
            text = f'not active any more: {self.loss}'
            return self._status('connection', DiagnosticStatus.ERROR, text, {})
        if session is None:
            return self._status('connection', DiagnosticStatus.OK, 'not active', {})
        values: dict[str, object] = {
            'links so far': session.links,
            'packets dropped': session.dropped,
            'mode': session.mode or 'not known',
        }
        if not session.connected:
            values['away for [s]'] = f'{now - session.away_since:.1f}'
            return self._status('connection', DiagnosticStatus.ERROR, session.reason, values)
        if session.owner_is_stuck:
            return self._status('connection', DiagnosticStatus.ERROR, STUCK, values)
        return self._status('connection', DiagnosticStatus.OK, 'connected', values)

    def _streams(self, session: RobotSession, now: float) -> DiagnosticStatus:
        values: dict[str, object] = {}
        elapsed = now - self._counted_at
        all_arrivals = dict(session.arrivals)  # the loop's thread may add a source meanwhile
        for source, arrivals in sorted(all_arrivals.items()):
            rate = (arrivals.count - self._counted.get(source, 0)) / elapsed if elapsed else 0.0
            values[f'{source} rate [Hz]'] = f'{rate:.1f}'
            values[f'{source} age [s]'] = f'{now - arrivals.last:.2f}'
        if elapsed >= 0.5:  # a change in between does not shorten the next second
            self._counted = {source: each.count for source, each in all_arrivals.items()}
            self._counted_at = now
        if (overdue := session.pictures.overdue(now)) and session.connected:
            text = f'no picture for {overdue:.1f} s, although asked for'
            return self._status('streams', DiagnosticStatus.WARN, text, values)
        return self._status('streams', DiagnosticStatus.OK, f'{len(all_arrivals)} so far', values)

    def _robot(self, session: RobotSession, latest: Mapping[str, Any]) -> DiagnosticStatus:
        troubles = [str(fault) for fault in sorted(session.faults, key=str)]
        level = DiagnosticStatus.ERROR if troubles else DiagnosticStatus.OK
        values: dict[str, object] = {'limp': session.driving.damped}
        if isinstance(sport := latest.get(SPORT), SportModeState):
            values.update(_sport_values(sport))
        if isinstance(low := latest.get(LOW), LowState):
            values.update(_low_values(low))
            warnings = _warnings(low)
            troubles += warnings
            level = max(level, DiagnosticStatus.WARN) if warnings else level
        return self._status('robot', level, '; '.join(troubles) or 'no fault', values)

    def _status(self, name: str, level: bytes, message: str, values: Values) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f'{self._node_name}: {name}',
            message=message,
            hardware_id=self._hardware_id,
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
    motors = {
        f'{name} [degree Celsius]': f'{motor.temperature:.0f}'
        for name, motor in zip(JOINT_NAMES, state.motors, strict=True)
    }
    lost = sum(motor.lost for motor in state.motors)
    return {
        'battery [percent]': f'{state.battery.charge * 100:.0f}',
        'board [degree Celsius]': f'{state.temperature:.0f}',
        'motor packets lost': lost,
        **motors,
    }


def _warnings(state: LowState) -> list[str]:
    warnings = []
    if state.battery.charge < LOW_BATTERY:
        warnings.append(f'battery at {state.battery.charge:.0%}')
    hot = [
        name
        for name, motor in zip(JOINT_NAMES, state.motors, strict=True)
        if motor.temperature > HOT_MOTOR
    ]
    return warnings + ([f'hot: {", ".join(hot)}'] if hot else [])
