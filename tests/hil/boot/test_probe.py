"""The probe's own eyes. What its acts come to is for tests/boot: they are tried as root there."""

import errno
import os

import pytest

from hil.boot import probe


def refused(number: int) -> None:
    raise OSError(number, "no")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EROFS, errno.ENOENT, errno.EAFNOSUPPORT])
def test_a_refusal_is_named(number: int) -> None:
    assert probe.tried(lambda: refused(number)) == errno.errorcode[number]


def test_what_comes_through_is_done_and_what_dies_is_not() -> None:
    assert probe.tried(lambda: None) == "done"
    assert probe.tried(lambda: os.kill(os.getpid(), 9)) == "signal 9"
    assert probe.tried(lambda: refused(0)) == "EIO"


def test_an_act_leaves_nothing_in_this_process() -> None:
    before = os.getcwd()
    assert probe.tried(lambda: os.chdir("/")) == "done"
    assert os.getcwd() == before


def test_a_shell_and_a_traced_child_come_through_where_nothing_holds() -> None:
    assert probe.tried(probe.shell) == "done"
    assert probe.tried(probe.ptrace) == "done"


def test_how_a_process_is_held_is_the_kernels_word() -> None:
    seen = probe.standing()
    assert seen["Uid"] == [str(os.getuid())] * 4
    assert probe.held(f"/proc/{os.getpid()}") == seen
    assert {"CapEff", "CapBnd", "Seccomp", "NoNewPrivs"} <= seen.keys()


def test_acts_have_names_of_their_own() -> None:
    names = [act.__name__ for act in probe.ACTS]
    assert len(set(names)) == len(names)


def test_of_several_the_refusal_of_one_that_is_there_is_told() -> None:
    def read(path: str) -> None:
        raise OSError({"there": errno.EACCES}.get(path, errno.ENOENT), "no")

    for paths, number in ((["there", "gone"], errno.EACCES), (["gone"], errno.ENOENT)):
        with pytest.raises(OSError, match="no") as caught:
            probe._one_of(paths, read)
        assert caught.value.errno == number
    probe._one_of(["there", "open"], lambda path: None if path == "open" else read(path))
