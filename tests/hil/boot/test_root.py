"""What the kept Debian is made of, and when it is made anew."""

from pathlib import Path

import pytest

from hil.boot import root
from hil.vm.image import ChildFailed


def test_it_has_what_the_package_needs_and_a_virtual_reader() -> None:
    wanted = root.wanted()
    assert wanted == sorted(wanted)
    assert {"pcscd", "python3", "systemd-sysv", "vsmartcard-vpcd", "wireguard-go"} <= set(wanted)
    assert not any("(" in name for name in wanted)


def test_it_is_another_with_other_packages() -> None:
    assert root.key(["one"]) != root.key(["two"])
    assert root.key(root.wanted()) == root.key(root.wanted())


def test_the_kept_one_is_taken_and_one_half_made_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "KEPT", tmp_path / "boot")
    made: list[Path] = []

    def make(tree: Path, names: list[str]) -> None:
        made.append(tree)
        (tree / "etc").mkdir(exist_ok=True)
        if len(made) == 1:
            raise ChildFailed("mmdebstrap: 1")
        assert names == root.wanted()

    monkeypatch.setattr(root, "_make", make)
    with pytest.raises(ChildFailed):
        root.clean()
    first, second = root.clean(), root.clean()
    assert first == second == tmp_path / "boot" / root.key(root.wanted())
    assert len(made) == 2
    assert [path.name for path in (tmp_path / "boot").iterdir()] == [first.name]
