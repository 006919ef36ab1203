"""What the ICE agents of a peer connection are told beyond what aiortc tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioice.utils import random_string
from aiortc import RTCPeerConnection

from ..peer import ice_agents
from ..signaling.attempt import Network


def share_credentials(connection: RTCPeerConnection) -> None:
    """
    Let all ICE agents of a connection have the same user name and password, as a Go2 expects.

    unitree_webrtc_connect does it for all connections of a process at once, and only if it
    was imported before aiortc.
    """
    username, password = random_string(4), random_string(22)
    for agent in ice_agents(connection):
        agent._local_username = agent.__dict__['local_username'] = username
        agent._local_password = agent.__dict__['local_password'] = password


def gather_on(connection: RTCPeerConnection, network: Network) -> None:
    """
    Offer ICE candidates on our address in ``network``, alone or besides those of aioice.

    Virtual and VPN interfaces only cost time on the LAN, and aioice by itself leaves out
    the loopback interface, where a simulated robot is.
    """
    for agent in ice_agents(connection):
        agent.get_component_candidates = _gather_on(agent.get_component_candidates, network)


def _gather_on(gather: Callable[..., Any], network: Network) -> Callable[..., Any]:
    def gather_on_address(component: int, addresses: list[str], timeout: int = 5) -> Any:
        ours = [network.address] if network.address else []
        others = [] if network.exclusive else [each for each in addresses if each not in ours]
        return gather(component, [*ours, *others], timeout)

    return gather_on_address


def has_relay(connection: RTCPeerConnection) -> bool:
    """Whether a TURN server has given us a relayed address."""
    return any(
        candidate.type == 'relay'
        for agent in ice_agents(connection)
        for candidate in agent.local_candidates
    )
