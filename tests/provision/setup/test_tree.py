"""The disk that setup writes to: owners, modes, no link followed; the double does the same."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from sdbox_agent.provision.setup.tree import Place, RealTree, Tree, put, read
from sdbox_agent.state.trusted import FileRefused
from tests.provision.setup.disk import ModelTree

ME = os.getuid()
OURS = Place("etc/box/keys", ME, 0o700, 0o600)
PUBLIC = Place("etc/box", ME)


@pytest.fixture(params=["real", "double"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return RealTree(tmp_path) if request.param == "real" else ModelTree()


def test_what_is_put_is_read_and_nothing_is_there_before(tree: Tree) -> None:
    assert read(tree, OURS, "a") is None
    put(tree, OURS, "a", b"one")
    put(tree, OURS, "a", b"two")
    assert read(tree, OURS, "a") == b"two"
    assert not tree.is_empty(OURS.path)


def test_what_is_removed_is_gone_and_what_never_was_is_no_trouble(tree: Tree) -> None:
    put(tree, OURS, "a", b"one")
    tree.remove(OURS, "a")
    tree.remove(OURS, "a")
    tree.remove(Place("nowhere"), "a")
    assert tree.is_empty(OURS.path)


def test_what_is_emptied_has_nothing_below(tree: Tree) -> None:
    for place, name in ((OURS, "a"), (OURS, "b"), (PUBLIC, "c"), (PUBLIC, "mark")):
        put(tree, place, name, b"x")
    tree.empty(PUBLIC.path, last="mark")
    assert tree.is_empty(PUBLIC.path)
    assert tree.is_empty(OURS.path)
    tree.empty("nowhere")
    assert tree.is_empty("nowhere")


def test_owner_and_mode_are_there_before_the_name(tmp_path: Path) -> None:
    put(RealTree(tmp_path), OURS, "a", b"one")
    for path, mode in ((tmp_path / OURS.path, 0o700), (tmp_path / OURS.path / "a", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_uid == ME


def test_a_directory_of_the_system_s_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o711)
    (tmp_path / "etc").chmod(0o711)
    put(RealTree(tmp_path), Place("etc", ME, ours=False), "a", b"one")
    assert stat.S_IMODE((tmp_path / "etc").stat().st_mode) == 0o711


def test_a_directory_of_another_s_is_refused(tmp_path: Path) -> None:
    tree = RealTree(tmp_path)
    tree.make(OURS)
    (tmp_path / OURS.path).chmod(0o722)
    with pytest.raises(FileRefused), tree.within(OURS):
        pass


@pytest.mark.skipif(ME != 0, reason="only root gives away")
def test_a_directory_of_root_s_is_about_to_be_another_s_and_never_the_other_way(
    tmp_path: Path,
) -> None:
    tree = RealTree(tmp_path)
    (tmp_path / "mine").mkdir()
    assert read(tree, Place("mine", 61001), "a") is None, "cut before it was given away"
    put(tree, Place("mine", 61001), "a", b"x")
    assert {path.stat().st_uid for path in (tmp_path / "mine", tmp_path / "mine/a")} == {61001}
    with pytest.raises(FileRefused), tree.within(Place("mine", 61002)):
        pass


def test_no_link_is_written_through_or_followed(tmp_path: Path) -> None:
    tree, elsewhere = RealTree(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"kept")
    tree.make(OURS)
    at = tmp_path / OURS.path
    (at / "a.new").symlink_to(elsewhere / "kept")
    put(tree, OURS, "a", b"one")
    assert (elsewhere / "kept").read_bytes() == b"kept"
    (at / "link").symlink_to(elsewhere)
    tree.empty(OURS.path)
    assert (elsewhere / "kept").read_bytes() == b"kept"
    assert tree.is_empty(OURS.path)
    (tmp_path / "etc/box/other").symlink_to(elsewhere)
    with (
        pytest.raises(OSError, match=r"Not a directory|Too many"),
        tree.within(Place("etc/box/other", ME)),
    ):
        pass


def test_what_lies_in_a_file_s_place_is_told_by_name_and_not_waited_for(tmp_path: Path) -> None:
    tree = RealTree(tmp_path)
    tree.make(OURS)
    at = tmp_path / OURS.path
    (at / "link").symlink_to("/etc/passwd")
    (at / "directory").mkdir()
    os.mkfifo(at / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{os.open(at, os.O_PATH)}/socket")
    (tmp_path / "etc/box/other").symlink_to(at)
    for place, name in (
        *((OURS, each) for each in ("link", "directory", "fifo", "socket")),
        (Place("etc/box/other", ME), "a"),
        (Place("etc/box/keys/socket", ME), "a"),
    ):
        with pytest.raises(FileRefused) as refused:
            read(tree, place, name)
        assert refused.value.diagnosis.startswith(f"/{place.path}/{name}: ")


def test_a_disk_that_fails_is_no_refusal(tmp_path: Path) -> None:
    class Failing(RealTree):
        def within(self, place: Place):
            raise OSError(errno.EIO, "it failed")

    with pytest.raises(OSError, match="it failed"):
        read(Failing(tmp_path), OURS, "a")


def test_a_directory_made_and_not_yet_given_away_is_finished(tmp_path: Path) -> None:
    (tmp_path / "etc/box/keys").mkdir(parents=True)
    RealTree(tmp_path).make(OURS)
    assert stat.S_IMODE((tmp_path / OURS.path).stat().st_mode) == 0o700
