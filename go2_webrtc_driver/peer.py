"""What the driver and the simulated robot both need of aiortc's peer connection."""

from __future__ import annotations

from typing import Any

from aiortc import RTCPeerConnection
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

# What aiortc raises at a description or a TURN server that it cannot take is no contract.
BAD_DESCRIPTION = (
    ValueError, TypeError, LookupError, AttributeError, AssertionError,
    InvalidStateError, InvalidAccessError, OperationError,
)  # fmt: skip


def ice_agents(connection: RTCPeerConnection) -> set[Any]:
    """Return aioice's agents of a connection."""
    owners: list[Any] = [each.receiver for each in connection.getTransceivers()]
    owners += [connection.sctp] if connection.sctp else []
    return {owner.transport.transport.iceGatherer._connection for owner in owners}
