"""``DriverConfig`` as ROS parameters, one for each field; generic."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter

from ..config import DriverConfig
from ..errors import ConfigError

FIELDS = {field.name: field for field in dataclasses.fields(DriverConfig)}


class Parameters:
    """
    The node's parameters.

    A bad start value does not keep the node from starting: it is kept back until
    :meth:`read`, which ``configure`` calls, and is mended by setting the parameter.
    """

    def __init__(
        self,
        node: Any,
        is_configured: Callable[[], bool],
        on_change: Callable[[DriverConfig], None],
    ) -> None:
        """
        Declare all parameters.

        Args:
            node: the rclpy node.
            is_configured: whether only live parameters may change.
            on_change: called with the new configuration after a live change.
        """
        self._node = node
        self._is_configured = is_configured
        self._on_change = on_change
        self._complaints: dict[str, str] = {}
        for name, field in FIELDS.items():
            self._declare(name, field)
        node.add_on_set_parameters_callback(self._on_set)

    def read(self) -> DriverConfig:
        """Return the configuration; raises ConfigError, which names the parameter."""
        for complaint in self._complaints.values():
            raise ConfigError(complaint)
        return DriverConfig(**self._values())

    def _values(self) -> dict[str, Any]:
        return {name: self._node.get_parameter(name).value for name in FIELDS}

    def _declare(self, name: str, field: dataclasses.Field[Any]) -> None:
        descriptor = to_descriptor(field)
        try:
            self._node.declare_parameter(name, field.default, descriptor)
        except (InvalidParameterValueException, InvalidParameterTypeException):
            given = self._node._parameter_overrides[name].value
            self._complaints[name] = _complaint(name, given)
            self._node.declare_parameter(name, field.default, descriptor, ignore_override=True)

    def _on_set(self, parameters: Iterable[Parameter]) -> SetParametersResult:
        changes = {each.name: each.value for each in parameters if each.name in FIELDS}
        now = self._values()
        fixed = [name for name in changes if not FIELDS[name].metadata['live']]
        fixed = [name for name in fixed if changes[name] != now[name]]
        if fixed and self._is_configured():
            return _refused(f'{fixed[0]}: takes effect at configure; clean up the node first')
        try:
            config = DriverConfig(**{**now, **changes})
        except ConfigError as error:
            return _refused(str(error))
        for name in changes:
            self._complaints.pop(name, None)
        self._on_change(config)
        return SetParametersResult(successful=True)


def to_descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Return the ROS descriptor of a field: description, range, allowed values."""
    descriptor = ParameterDescriptor(name=field.name, description=field.metadata['description'])
    if bounds := field.metadata['range']:
        low, high = bounds
        if isinstance(field.default, int):
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    if choices := field.metadata['choices']:
        descriptor.additional_constraints = 'one of ' + ', '.join(choices)
    return descriptor


def _complaint(name: str, value: Any) -> str:
    try:
        DriverConfig(**{name: value})
    except ConfigError as error:
        return str(error)
    return f'{name}: expected another value, got {value!r}'


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)
