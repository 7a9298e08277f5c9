"""A world for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdbox_centre.world import World

MEMORY = Path(
    "/dev/shm"
)  # where fsync is free: what it is worth, tests/sdbox_centre/test_store says


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        grown = World(Path(root))
        yield grown
        grown.store.close()
