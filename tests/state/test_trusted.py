"""Fault 61: a file that others could have written, or a symlink, is refused with its remedy."""

import os
import stat
from pathlib import Path

import pytest

from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "box.toml"
    path.write_bytes(b"text")
    path.chmod(0o600)
    return path


def refused(path: Path, *, private: bool = False) -> str:
    with pytest.raises(FileRefused) as caught:
        trusted.read(path, private=private)
    assert caught.value.code == "config-invalid"
    assert str(path) in caught.value.diagnosis
    return caught.value.reason


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o444])
def test_our_own_file_is_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert trusted.read(file) == b"text"


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602, 0o777])
def test_what_others_may_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "chmod" in refused(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_a_key_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "chmod 0400" in refused(file, private=True)


def test_a_symlink_a_directory_and_a_fifo_are_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("link", "fifo"):
        refused(tmp_path / name)
    refused(tmp_path)


@pytest.mark.rig
def test_a_file_of_another_owner_is_refused(file: Path) -> None:
    os.chown(file, 61_002, 61_002)
    assert "chown" in refused(file)


def test_a_missing_file_is_its_own_error_and_a_huge_one_is_refused(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trusted.read(file.with_name("none"))
    file.write_bytes(b"x" * (trusted.MAX_BYTES + 1))
    assert refused(file) == "too large"


def test_the_owner_is_root_or_this_user() -> None:
    for owner in (0, os.geteuid()):
        status = os.stat_result((stat.S_IFREG | 0o600, 1, 1, 1, owner, 0, 0, 0, 0, 0))
        assert trusted._objection(status, private=True) is None
    status = os.stat_result((stat.S_IFREG | 0o600, 1, 1, 1, 61_002, 0, 0, 0, 0, 0))
    assert "chown" in str(trusted._objection(status, private=True))
