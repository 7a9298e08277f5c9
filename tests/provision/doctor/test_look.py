"""What is read of a machine: from real files, links, sockets, and this very kernel."""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

import pytest

from sdbox_agent.provision.doctor import look
from sdbox_agent.provision.doctor.look import Look
from tests.provision.doctor.trees import grow, write


def test_a_text_is_read_and_what_is_missing_is_empty_if_it_may_be(tmp_path: Path) -> None:
    here = Look(tmp_path, live=False)
    write(tmp_path / "a", b"\xff text")
    assert here.text("a") == here.text_if("a") == here.kernels("a") == "\ufffd text"
    assert here.text_if("b") == here.text_if("a/b") == here.kernels_if("b") == ""
    with pytest.raises(FileNotFoundError):
        here.text("b")


def test_no_link_leads_out_of_another_root(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        Look(tmp_path, live=False).text_if("a")
    with pytest.raises(OSError, match="symbolic"):
        Look(tmp_path, live=True).text("a")


def test_nothing_but_a_file_is_opened_under_another_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may hold any device's node: a watchdog starts when its own is opened."""
    os.mkfifo(tmp_path / "etc")
    opened = []
    monkeypatch.setattr(os, "open", lambda *words: opened.append(words))
    with pytest.raises(OSError, match="not a file"):
        Look(tmp_path, live=False).text_if("etc")
    assert opened == []


def test_nor_does_a_directory_on_the_way(tmp_path: Path) -> None:
    """Debian's own `lib -> usr/lib` stays within; a link to our /etc does not."""
    write(tmp_path / "usr/lib/modules/1/modules.dep", b"wireguard")
    (tmp_path / "lib").symlink_to("usr/lib")
    for name in ("etc", "proc", "sys"):
        (tmp_path / name).symlink_to(f"/{name}")
    away = Look(tmp_path, live=False)
    assert away.text("lib/modules/1/modules.dep") == "wireguard"
    for looks in (
        lambda: away.text_if("etc/passwd"),
        lambda: away.kernels_if("proc/cmdline"),
        lambda: away.names("etc"),
        lambda: away.is_there("etc/passwd"),
        lambda: away.drop_ins("journald.conf"),
        lambda: away.masked("etc/systemd/system"),
        lambda: away.room("etc/sdbox", "x"),
        lambda: away.nodes(("proc/cmdline",)),
        lambda: away.mapped(8, 0, "/dev/sda"),
        away.usb,
        away.files,
    ):
        with pytest.raises(OSError, match="out of the root"):
            looks()


def test_an_endless_file_is_read_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_PIECES", 2)
    write(tmp_path / "a", bytes(3 * look._PIECE_BYTES))
    assert len(Look(tmp_path, live=False).text("a")) == 2 * look._PIECE_BYTES


def test_drop_ins_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    texts = grow(tmp_path).drop_ins("journald.conf")
    assert [text.split()[-1] for text in texts] == ["#SystemMaxUse=", "SystemMaxUse=500M"]
    assert Look(tmp_path, live=False).drop_ins("coredump.conf") == ()


def test_this_kernel_tells_of_itself() -> None:
    here = Look(Path("/"), live=True)
    assert here.kernels("proc/sys/kernel/osrelease").strip() == os.uname().release
    assert "lo" in here.devices()
    assert here.synchronised() in {True, False}
    assert Look(Path("/"), live=False).synchronised() is None
    assert all(len(each.usb_id) == 9 for each in here.usb())


def test_controllers_are_asked_whether_they_let_in_by_themselves(tmp_path: Path) -> None:
    here = grow(tmp_path)
    for said, shut in ((b"1\n", False), (b"0\n", True)):
        write(tmp_path / "sys/bus/usb/devices/usb1/authorized_default", said)
        assert here.usb_closed() is shut


def test_a_kernel_that_does_not_say_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def adjtimex(_: object) -> int:
            return -1

    monkeypatch.setattr(look.ctypes, "CDLL", lambda *_, **__: Refusing)
    assert Look(Path("/"), live=True).synchronised() is None


def test_files_are_listed_without_following_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc/sdbox").mkdir(parents=True)
    (tmp_path / "etc/sdbox/loop").symlink_to(tmp_path / "etc")
    seen = Look(tmp_path, live=False).files()
    assert [each.path for each in seen] == ["etc/sdbox", "etc/sdbox/loop"]
    assert {each.owner for each in seen} == {os.getuid()}
    monkeypatch.setattr(look, "MAX_NAMES", 1)
    with pytest.raises(OSError, match="too many names"):
        Look(tmp_path, live=False).files()


def test_a_file_that_has_gone_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent writes beside, and renames: what was listed need not be there any more."""
    write(tmp_path / "var/lib/sdbox/state.json", b"")
    names = look._names

    def listed(directory: Path, *root: Path) -> tuple[str, ...]:
        return (*names(directory, *root), "state.json.new")

    monkeypatch.setattr(look, "_names", listed)
    seen = Look(tmp_path, live=True).files()
    assert [each.path for each in seen] == ["var/lib/sdbox", "var/lib/sdbox/state.json"]


def test_no_depth_hides_a_file_from_the_look(tmp_path: Path) -> None:
    deep = tmp_path / "var/lib/sdbox"
    deep.mkdir(parents=True)
    with contextlib.chdir(deep):
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
    try:
        assert len(Look(tmp_path, live=True).files()) == 1101
    finally:
        subprocess.run(["rm", "-r", deep / "d"], check=True)  # rmtree of this Python recurses


def test_room_is_that_of_where_it_will_be(tmp_path: Path) -> None:
    here = Look(tmp_path, live=False)
    before = here.room("var/lib/sdbox", "audit.jsonl")
    assert before.free_bytes > 0
    assert before.record_bytes == 0
    write(tmp_path / "var/lib/sdbox/audit.jsonl", bytes(100))
    assert here.room("var/lib/sdbox", "audit.jsonl").record_bytes == 100


def test_what_a_device_rests_on_is_followed_down_and_not_for_ever(tmp_path: Path) -> None:
    here = grow(tmp_path)
    assert here.mapped(253, 0, "/dev/mapper/root") == (("LVM-abc", "CRYPT-LUKS2-0123-x"),)
    (tmp_path / "sys/dev/block/253:0/slaves/sdb1").mkdir()
    assert here.mapped(253, 0, "/dev/mapper/root")[1:] == (("LVM-abc",),)
    slaves = tmp_path / "sys/dev/block/253:0/slaves/dm-1/slaves"
    slaves.mkdir()
    (slaves / "dm-1").symlink_to("..")
    (endless, _) = here.mapped(253, 0, "/dev/mapper/root")
    assert len(endless) < 20


def test_btrfs_is_found_by_the_name_of_its_device(tmp_path: Path) -> None:
    write(tmp_path / "sys/block/dm-3/dm/name", b"data\n")
    write(tmp_path / "sys/class/block/dm-3/dm/uuid", b"CRYPT-LUKS2-x-data\n")
    here = Look(tmp_path, live=False)
    assert here.mapped(0, 40, "/dev/mapper/data") == (("CRYPT-LUKS2-x-data",),)
    assert here.mapped(0, 40, "/dev/sda2") == ((),)


def test_a_socket_is_one_and_a_masked_unit_is_a_link_to_nowhere(tmp_path: Path) -> None:
    here = Look(tmp_path, live=False)
    write(tmp_path / "units/plain.service", b"")
    (tmp_path / "units/masked.service").symlink_to("/dev/null")
    (tmp_path / "units/alias.service").symlink_to("plain.service")
    assert here.masked("units") == ("masked.service",)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        (tmp_path / "link").symlink_to("s")
        assert here.is_socket(tmp_path / "s")
        assert not here.is_socket(tmp_path / "link")
        assert not here.is_socket(tmp_path / "units")


def test_only_root_on_the_box_itself_asks_about_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, live in ((0, True), (0, False), (1000, True)):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert Look(Path("/"), live=live).may_ask_about_walls() is (uid == 0 and live)


def test_what_nft_lists_is_read_and_its_absence_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nft"
    monkeypatch.setattr(look, "NFT", str(program))
    here = Look(tmp_path, live=True)
    assert here.rules() is None
    chain = '{"nftables": [{"chain": {"name": "input", "policy": "drop"}}]}'
    program.write_text(f"#!/bin/sh\necho '{chain}'\n")
    program.chmod(0o700)
    loaded = here.rules()
    assert loaded is not None
    assert loaded.rules == {"input": 1}
    program.write_text("#!/bin/sh\nexit 1\n")
    assert here.rules() is None


def test_an_nft_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nft"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(look, "NFT", str(program))
    monkeypatch.setattr(look, "NFT_S", 0.1)
    with pytest.raises(OSError, match="no answer"):
        Look(tmp_path, live=True).rules()


def test_the_kernels_own_word_on_walls_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Guard:
        def look(self) -> None:
            return None

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(look, "Guard", Guard)
    assert Look(Path("/"), live=True).standing() is None
    assert len(closed) == 1
