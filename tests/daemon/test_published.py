"""What is published is there whole, for all to read; what lies there is read with suspicion."""

import os
import stat
from pathlib import Path

from sdbox_agent.daemon import published
from sdbox_agent.daemon.published import Published
from sdbox_agent.pki.revocation import MAX_CRL_BYTES


def test_a_list_takes_the_place_of_its_issuer_s_last_one(tmp_path: Path) -> None:
    directory = tmp_path / "crls"
    shown = Published(directory)
    assert published.read(directory) == ()
    shown.put(b"\1" * 32, b"first")
    shown.put(b"\2" * 32, b"other")
    shown.put(b"\1" * 32, b"second")
    assert published.read(directory) == (b"second", b"other")
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    assert len(list(directory.iterdir())) == 2


def test_a_disk_that_refuses_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "crls").write_bytes(b"a file")
    Published(tmp_path / "crls").put(b"\1" * 32, b"list")
    assert published.read(tmp_path / "crls") == ()


def test_only_files_of_a_list_s_size_are_read(tmp_path: Path) -> None:
    Published(tmp_path).put(b"\1" * 32, b"list")
    (tmp_path / "big.crl").write_bytes(b"x" * (MAX_CRL_BYTES + 1))
    (tmp_path / "notes.txt").write_bytes(b"x")
    (tmp_path / "link.crl").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "directory.crl").mkdir()
    os.mkfifo(tmp_path / "pipe.crl")
    assert published.read(tmp_path) == (b"list",)
