"""Fingers for these tests; masters come from the cache under build/."""

import pytest

from hil.finger import cache
from hil.finger.master import Master


@pytest.fixture(scope="session")
def finger() -> Master:
    return cache.master(1)
