"""What the box's disk is made of, and when it is made anew."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hil.vm.box import disk
from hil.vm.image import ChildFailed


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were run; they leave what they would leave."""
    ran: list[str] = []
    package = tmp_path / "package.deb"
    package.write_bytes(b"one")

    def child(*argv: str, **_: object) -> None:
        ran.append(argv[2])
        if argv[2] == "mmdebstrap":
            root = Path(argv[-1])
            root.mkdir()
            for name in ("vmlinuz", "initrd.img"):
                (root / name).touch()
        else:
            Path(argv[-2]).write_bytes(Path(argv[4]).read_bytes())

    monkeypatch.setattr(disk, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(disk, "child", child)
    monkeypatch.setattr(disk.deb, "build", lambda *_: SimpleNamespace(path=package))
    return ran


def test_debians_packages_are_those_of_ours_and_the_machines() -> None:
    wanted = disk.wanted()
    assert wanted == sorted(set(wanted))
    assert {"pcscd", "udev", "libccid", "linux-image-amd64", "systemd-sysv"} <= set(wanted)
    assert not any(" " in name for name in wanted)


def test_debian_and_disk_are_kept_while_nothing_has_changed(made: list[str]) -> None:
    first = disk.image()
    assert first.disk.read_bytes() == b"one"
    assert first == disk.image()
    assert made == ["mmdebstrap", str(disk._INSTALL)]


def test_another_package_is_another_disk_on_the_same_debian(
    made: list[str], tmp_path: Path
) -> None:
    first = disk.image()
    (tmp_path / "package.deb").write_bytes(b"other")
    second = disk.image()
    assert second.disk.read_bytes() == b"other"
    assert made.count("mmdebstrap") == 1
    assert not first.disk.exists(), "one is kept"


def test_a_disk_half_made_is_not_taken(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    disk.debian()

    def fails(*_: str, **__: object) -> None:
        raise ChildFailed("unshare: 1")

    monkeypatch.setattr(disk, "child", fails)
    for _ in range(2):
        with pytest.raises(ChildFailed):
            disk.image()
