"""A world for each test; on both engines where a test's module says `ENGINES = BOTH`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.postgres import Cluster
from sdbox_centre.engines import Database
from sdbox_centre.store import Store
from tests.sdbox_centre.world import World

MEMORY = Path(
    "/dev/shm"
)  # where fsync is free: what it is worth, tests/sdbox_centre/test_store says


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    engines = getattr(metafunc.module, "ENGINES", None)
    said = {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    if engines is not None and "engine" in metafunc.fixturenames and "engine" not in said:
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "sqlite")


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        yield Path(root)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster(durable=False) as running:
        yield running


@pytest.fixture(scope="session")
def like(cluster: Cluster) -> str:
    """A database with our tables: copied, it is there sooner than made."""
    url = cluster.database()
    store = Store(url)
    store.create()
    store.close()
    return url


@pytest.fixture
def database(engine: str, directory: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Where a store may be: of the engine that the test runs on."""
    if engine == "sqlite":
        yield directory / "centre.db"
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.database(like=request.getfixturevalue("like"))
    yield url
    cluster.drop(url)


@pytest.fixture
def world(directory: Path, database: Database) -> Iterator[World]:
    grown = World(directory, database)
    yield grown
    grown.close()
