"""
The battery of the simulated robot, and the heat of its motors.

Anchor: a low state recorded on a real robot had 55 %, -2481 mA and 28.33 V, and motors at
40 degrees Celsius. How the rest follows from it is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_CHARGE = 0.87  # of a robot that is found
CAPACITY = 15.0  # Ah, of the pack of the EDU (vendor's data, second hand)
IDLE_CURRENT, STANDING_CURRENT = 1.2, 2.48  # A
WALKING_CURRENT = 4.0  # A, more for each m/s of the feet
EMPTY_VOLTAGE, VOLTAGE_OF_CHARGE = 24.1, 7.9  # V; their sum is that of a full pack
RESISTANCE = 0.05  # ohm
LOW_CHARGE = 0.10  # below it the robot protects its battery: fault (600, 8)

IDLE_HEAT, STANDING_HEAT, WALKING_HEAT = 30.0, 40.0, 25.0  # degree Celsius; per m/s the last
HOTTEST = 95.0  # degree Celsius
HEAT_TIME = 120.0  # s, in which motors come 63 % closer to the heat of their work


@dataclass(frozen=True)
class Load:
    """
    What the legs do.

    Attributes:
        standing: 1 when they carry the body, 0 when it lies.
        speed: of the fastest foot relative to the body [m/s].
    """

    standing: float
    speed: float

    @property
    def current(self) -> float:
        """What the robot takes out of its battery [A]."""
        resting = IDLE_CURRENT + (STANDING_CURRENT - IDLE_CURRENT) * self.standing
        return resting + WALKING_CURRENT * self.speed

    @property
    def heat(self) -> float:
        """How hot this makes the motors in the long run [degree Celsius]."""
        resting = IDLE_HEAT + (STANDING_HEAT - IDLE_HEAT) * self.standing
        return min(HOTTEST, resting + WALKING_HEAT * self.speed)


class Pack:
    """
    The battery pack.

    Attributes:
        charge: state of charge, 0 to 1.
        current: negative while discharging [A].
    """

    def __init__(self, charge: float) -> None:
        """Make a pack that is charged to ``charge``, 0 to 1."""
        self.charge = charge
        self.current = 0.0

    @property
    def voltage(self) -> float:
        """At its terminals [V]."""
        return EMPTY_VOLTAGE + VOLTAGE_OF_CHARGE * self.charge + RESISTANCE * self.current

    @property
    def low(self) -> bool:
        """Whether the robot protects it."""
        return self.charge < LOW_CHARGE

    def drain(self, load: Load, duration: float) -> None:
        """Give ``load`` its current for ``duration`` [s]; an empty pack goes on giving."""
        self.current = -load.current
        self.charge = max(0.0, self.charge + self.current * duration / 3600.0 / CAPACITY)


def warmed(temperature: float, load: Load, duration: float) -> float:
    """Return the motors' temperature [degree Celsius] after ``duration`` [s] of ``load``."""
    return load.heat + (temperature - load.heat) * math.exp(-duration / HEAT_TIME)
