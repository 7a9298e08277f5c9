"""What QEMU is told of the box's machine."""

from pathlib import Path

import pytest

from hil.vm.box import guest
from hil.vm.image import Image


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    machine = guest.Guest(Image(Path("/image")), Path("/seed"), None)  # type: ignore[arg-type]
    machine.room = tmp_path
    return machine._arguments()


def after(arguments: list[str], word: str) -> list[str]:
    return [arguments[at + 1] for at, one in enumerate(arguments) if one == word]


def test_its_disks_keep_nothing(arguments: list[str]) -> None:
    drives = after(arguments, "-drive")
    assert [drive.split(",")[0] for drive in drives] == ["file=/image/root.ext4", "file=/seed"]
    assert all("snapshot=on" in drive for drive in drives)


def test_one_network_is_the_rigs_cable_and_the_other_leads_nowhere(arguments: list[str]) -> None:
    kinds = [net.split(",")[0] for net in after(arguments, "-netdev")]
    assert sorted(kinds) == ["hubport", "tap"]


def test_its_kernel_clears_what_is_freed_and_starts_the_rigs_part_first(
    arguments: list[str],
) -> None:
    (line,) = after(arguments, "-append")
    assert {"init_on_free=1", "init=/usr/local/sbin/rig-init"} <= set(line.split())
    here = Path(guest.__file__).parent / "rig"
    assert (here / "usr/local/sbin/rig-init").stat().st_mode & 0o111
    link = (here / "etc/systemd/network/10-uplink.link").read_text()
    assert f"MACAddress={guest.MAC}\n" in link
    assert any(f"mac={guest.MAC}" in device for device in after(arguments, "-device"))


def test_every_socket_is_in_its_own_directory(arguments: list[str], tmp_path: Path) -> None:
    sockets = [one for one in after(arguments, "-chardev") if one.startswith("socket")]
    assert len(sockets) == 3
    assert all(f"path={tmp_path}/" in one for one in sockets)
