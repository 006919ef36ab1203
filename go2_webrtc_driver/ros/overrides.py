"""Checks start-up parameters for what rclpy answers with a traceback, or ignores."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from typing import Any

from rclpy.qos import HistoryPolicy, ReliabilityPolicy

from ..errors import ConfigError, show

logger = logging.getLogger(__name__)

QOS = 'qos_overrides.'
POLICIES = {  # the values of each; newer releases have more of them
    name: tuple(each.name.lower() for each in policy if each.name != 'UNKNOWN')
    for name, policy in (('history', HistoryPolicy), ('reliability', ReliabilityPolicy))
}
LARGEST_DEPTH = 10_000  # samples; each publisher keeps as many


def check_qos_overrides(node: Any) -> None:
    """
    Check every override of a QoS before a publisher or subscription is made with it.

    Raises:
        ConfigError: the policy has no such value; names the parameter.
    """
    for name, parameter in node._parameter_overrides.items():
        if name.startswith(QOS):
            _check_policy(name, parameter.value)


def _check_policy(name: str, value: Any) -> None:
    policy = name.rpartition('.')[2]
    if policy == 'depth' and not (type(value) is int and 0 <= value <= LARGEST_DEPTH):
        raise ConfigError(f'{name}: expected a whole number to {LARGEST_DEPTH}, got {show(value)}')
    allowed = POLICIES.get(policy)
    if allowed and not (isinstance(value, str) and value.lower() in allowed):
        raise ConfigError(f'{name}: expected one of {", ".join(allowed)}, got {show(value)}')


def warn_of_unknown(node: Any) -> None:
    """Name what was given and is no parameter of the node, once all of them are declared."""
    if unknown := [each for each in node._parameter_overrides if not node.has_parameter(each)]:
        known = list(node._parameters)
        described = '; '.join(f'{name}{_nearest(name, known)}' for name in sorted(unknown))
        logger.warning('not parameters of this node, ignored: %s', described)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean {near[0]}?)' if near else ''
