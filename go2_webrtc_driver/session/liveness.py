"""Whether the robot still lives, and its camera: pure, time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from ..protocol.topics import Topic

DATA, HEARTBEAT = 'data', 'a reply to a heartbeat'
SPORT, POSE = Topic.SPORT_MODE_STATE.value, Topic.ROBOT_POSE.value
NEVER = float('inf')
RARE = 5.0  # s, after which a source that comes once a second is overdue
LONGEST_AGE = {SPORT: 1.0, POSE: 1.0, Topic.VOXEL_MAP.value: 2.0}  # s; 20, 19 and 7 Hz
HEARTBEAT_PERIOD = 2.0  # s, of unitree_webrtc_connect 2.2.0
MOST_REQUESTS = 3  # for pictures, before it is the link
OWNER_TIMEOUT = 1.0  # s, of silence of the session's owner, after which it counts as dead


class SignsOfLife:
    """
    When the robot was last heard, by the kind of sign.

    Data shows that it reaches us; replies to heartbeats, that we reach it: a robot that
    hears nothing more goes on sending. One that has never replied owes us no reply.
    """

    def __init__(self, silence_timeout: float, now: float) -> None:
        """
        Args:
            silence_timeout: longest time without data [s].
            now: when the link was opened [s, monotonic].
        """
        self._limits = {DATA: silence_timeout, HEARTBEAT: silence_timeout + HEARTBEAT_PERIOD}
        self._seen_at = {DATA: now}

    def note(self, sign: str, now: float) -> None:
        """Take a sign of life, ``DATA`` or ``HEARTBEAT``."""
        self._seen_at[sign] = now

    def missing(self, now: float) -> str:
        """Return what was expected and did not come, empty if nothing is overdue."""
        for sign, seen_at in self._seen_at.items():
            if now - seen_at > self._limits[sign]:
                return (
                    f'expected {sign} from the robot, it was silent for {self._limits[sign]:g} s'
                )
        return ''


class SourceWatch:
    """
    When each source was last heard with something new; one may stop while others go on.

    A sample that is the same as the one before, its stamp included, is nothing new: the
    robot's clock stands in it, and whatever sends it hangs.
    """

    def __init__(self, wanted: Iterable[str], now: float) -> None:
        """
        Args:
            wanted: the sources that are asked for.
            now: [s, monotonic].
        """
        self._since = dict.fromkeys(wanted, now)
        self._newest: dict[str, object] = {}

    def want(self, wanted: Iterable[str], now: float) -> None:
        """Note which sources are asked for from ``now`` [s] on."""
        self._since = {source: self._since.get(source, now) for source in wanted}
        self._newest = {s: value for s, value in self._newest.items() if s in self._since}

    def is_new(self, source: str, value: object, now: float) -> bool:
        """Take a sample, and tell whether there is anything new in it."""
        if source not in self._since:  # it was on its way when nobody wanted it any more
            return True
        before, self._newest[source] = self._newest.get(source), value
        if getattr(value, 'stamp', 0.0) and value == before:
            return False
        self._since[source] = now
        return True

    def age(self, source: str, now: float) -> float:
        """Return how long ago something new came, or was asked for [s]; endless if neither."""
        return now - self._since.get(source, float('-inf'))

    def age_of_motion(self, now: float) -> float:
        """Return the age of what tells how the robot moves [s]; of the pose only if it came."""
        if SPORT not in self._newest:
            return NEVER
        tells_pose = POSE in self._newest and POSE in self._since
        return max(self.age(SPORT, now), self.age(POSE, now) if tells_pose else 0.0)

    def overdue(self, now: float) -> dict[str, float]:
        """Return the ages [s] of the sources that are asked for and do not come."""
        ages = {source: now - since for source, since in self._since.items()}
        return {source: age for source, age in ages.items() if age > LONGEST_AGE.get(source, RARE)}


class Verdict(Enum):
    """What to do about the pictures."""

    FINE = 'nothing'
    ASK_AGAIN = 'ask for them again'
    GIVE_UP = 'give the link up'


class PictureWatch:
    """
    Decides what to do about pictures that do not come on one link.

    They are asked for again every ``timeout``, and after ``MOST_REQUESTS`` of that the link
    is given up. If the next link brings none either it is the camera: then it is asked on
    and on, and the robot can be driven meanwhile.

    Attributes:
        camera_is_broken: a link was given up for pictures, and none has come since.
    """

    def __init__(self, timeout: float, wanted: bool, now: float, camera_is_broken: bool) -> None:
        """
        Args:
            timeout: longest time without a picture [s].
            wanted: whether pictures are asked for.
            now: when the link was opened [s, monotonic].
            camera_is_broken: as it was on the link before.
        """
        self.camera_is_broken = camera_is_broken
        self._timeout = timeout
        self._wanted = wanted
        self._since = now
        self._requests = 0

    def want(self, wanted: bool, now: float) -> None:
        """Note whether pictures are asked for."""
        if wanted and not self._wanted:
            self._since, self._requests = now, 0
        self._wanted = wanted

    def note(self, now: float) -> None:
        """Take a picture that came."""
        self._since, self._requests = now, 0
        self.camera_is_broken = False

    def overdue(self, now: float) -> float:
        """Return for how long pictures are overdue [s]; 0 if they come, or nobody wants them."""
        missing = now - self._since
        return missing if self._wanted and missing > self._timeout else 0.0

    def verdict(self, now: float) -> Verdict:
        """Return what to do at ``now``; that counts as done."""
        if self.overdue(now) < self._timeout * (self._requests + 1):
            return Verdict.FINE
        self._requests += 1
        if self._requests <= MOST_REQUESTS or self.camera_is_broken:
            return Verdict.ASK_AGAIN
        self.camera_is_broken = True
        return Verdict.GIVE_UP


class OwnerWatch:
    """
    Whether whoever owns the session still gives signs of life; one that stops is dead.

    Attributes:
        is_stuck: whether the last look found it so.
    """

    def __init__(self) -> None:
        self.is_stuck = False
        self._seen_at = float('inf')

    def note(self, now: float) -> None:
        """Take a sign of life at ``now`` [s, monotonic]; the first begins the watch."""
        self._seen_at = now

    def look(self, now: float) -> bool:
        """Look at ``now``, and tell whether something has changed."""
        before, self.is_stuck = self.is_stuck, now - self._seen_at > OWNER_TIMEOUT
        return self.is_stuck != before
