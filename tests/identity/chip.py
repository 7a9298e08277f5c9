"""A chip for the tests of a module: swtpm, behind a socket."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.tpm import SoftTpm
from sdbox_agent.identity.tpm import Tpm


@functools.cache
def manufactured(which: str, base: Path) -> Path:
    """A new chip, made once: each test has the same one, as it was new."""
    path = base / which
    SoftTpm(path, base / f"{which}.sock")
    return path


class Chip:
    """A running one, and our side of it. `again` cuts the power and gives it back."""

    def __init__(self, new: Path, directory: Path, device: Path) -> None:
        shutil.copytree(new, directory)
        self.soft = SoftTpm(directory, device)
        self.soft.start()
        self.tpm = Tpm(device)

    def again(self) -> None:
        self.soft.stop()
        self.soft.start()

    def tool(self, *command: str) -> str:
        """Somebody else's hand on it: the chip without resource manager takes one at a time."""
        self.tpm.close()
        return self.soft.tool(*command)

    def end(self) -> None:
        self.tpm.close()
        self.soft.stop()


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("factory")


@pytest.fixture
def chip(tmp_path: Path, factory: Path) -> Iterator[Chip]:
    made = Chip(manufactured("one", factory), tmp_path / "chip", tmp_path / "tpmrm0")
    yield made
    made.end()


@pytest.fixture
def other(tmp_path: Path, factory: Path) -> Iterator[Chip]:
    made = Chip(manufactured("two", factory), tmp_path / "other", tmp_path / "other-tpmrm0")
    yield made
    made.end()
