import itertools

import pytest

from go2_webrtc_driver.session import driving, reconnect


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(reconnect, 'delays', lambda rng: itertools.repeat(0.0))
    monkeypatch.setattr(reconnect, 'OPERATOR_DELAY', 0.0)
    monkeypatch.setattr(driving, 'HOLD_TIME', 0.0)
