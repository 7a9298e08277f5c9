"""The chip's door: the way to it, and what its answers are to an operator."""

import os
import socket
import threading
from pathlib import Path

import pytest
from tpm2_pytss import TSS2_Exception

from sdbox_agent import errors
from sdbox_agent.errors import Fault
from sdbox_agent.identity import tpm
from sdbox_agent.identity.tpm import Said, Tpm, code_of, plain, way_to
from sdbox_agent.state.trusted import FileRefused
from tests.identity.chip import Chip, chip, factory, other

__all__ = ["chip", "factory", "other"]


@pytest.mark.parametrize(
    ("rc", "code"),
    [
        (0x902, "tpm-busy"),  # out of memory for object contexts
        (0x922, "tpm-busy"),  # retry
        (0x920, "tpm-busy"),  # writes to NV are being rate-limited
        (0x921, "tpm-locked-out"),
        (0x101, "tpm-failed"),  # failure
        (0x98E, "tpm-failed"),  # an authorisation failed: somebody has given the owner a code
        (0xA000A, "tpm-away"),  # TCTI: IO failure
        (0x70012, "tpm-away"),  # ESAPI: what came back can't be an answer
    ],
)
def test_each_answer_is_a_fault_of_the_table(rc: int, code: str) -> None:
    assert code_of(rc) == code
    assert errors.explain(code).kind == "Fault"


def test_which_argument_a_code_speaks_of_does_not_matter() -> None:
    assert plain(0x1DF) == plain(0x2DF) == plain(0x9DF) == tpm.RC_INTEGRITY
    assert plain(0x18B) == tpm.RC_HANDLE
    for whole in (0x14A, 0x921, 0x902, 0xA000A, 0x701DF):
        assert plain(whole) == whole


def test_a_device_is_a_device_and_a_socket_stands_for_it_elsewhere(tmp_path: Path) -> None:
    assert way_to(Path(os.devnull)) == f"device:{os.devnull}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "tpmrm0"))
        assert way_to(tmp_path / "tpmrm0") == f"swtpm:path={tmp_path}/tpmrm0"
    (tmp_path / "file").touch()
    for nothing in (tmp_path / "none", tmp_path / "file", tmp_path):
        with pytest.raises(Fault, match=r"^tpm-away$"):
            way_to(nothing)


def test_no_socket_stands_for_a_boxs_own_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tpm, "DEVICE", tmp_path / "tpmrm0")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "tpmrm0"))
        with pytest.raises(Fault, match=r"^tpm-away$"):
            way_to(tmp_path / "tpmrm0")


def test_a_device_closed_to_this_user_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileRefused) as caught:
        way_to(Path(os.devnull))
    assert (caught.value.code, caught.value.reason) == (
        "tpm-away", "not open to this user: group tss",
    )  # fmt: skip


def test_what_is_no_chip_is_a_chip_that_is_away(tmp_path: Path) -> None:
    """Somebody answers, and hangs up."""
    path = tmp_path / "tpmrm0"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def hang_up() -> None:
            listening.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Fault, match=r"^tpm-away$"):
            Tpm(path).name()
        thread.join(5)


def raising(rc: int, times: int) -> tuple[list[int], object]:
    """Something asked of a chip that answers `rc` so often, and then well."""
    asked: list[int] = []

    def do(_esapi: object) -> str:
        asked.append(1)
        if len(asked) <= times:
            raise TSS2_Exception(rc)
        return "done"

    return asked, do


@pytest.mark.slow
def test_what_broke_is_tried_once_more_on_a_new_connection(chip: Chip) -> None:
    chip.tpm.name()
    asked, do = raising(0xA000A, 1)
    assert chip.tpm.ask(do) == "done"  # type: ignore[arg-type]
    assert chip.tpm.connection == 2
    asked, do = raising(0xA000A, 5)
    with pytest.raises(Fault, match=r"^tpm-away$"):
        chip.tpm.ask(do)  # type: ignore[arg-type]
    assert len(asked) == 2
    asked, do = raising(0xA000A, 1)
    chip.tpm.name()
    with pytest.raises(Fault, match=r"^tpm-away$"):
        chip.tpm.ask(do, again=False)  # type: ignore[arg-type]
    assert len(asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("rc", "code"), [(0x902, "tpm-busy"), (0x101, "tpm-failed")])
def test_what_the_chip_refuses_is_told_and_lets_go_of_it(chip: Chip, rc: int, code: str) -> None:
    asked, do = raising(rc, 1)
    with pytest.raises(Fault, match=rf"^{code}$"):
        chip.tpm.ask(do)  # type: ignore[arg-type]
    assert len(asked) == 1
    assert chip.tool("tpm2_getcap", "handles-transient").strip() == ""


@pytest.mark.slow
def test_what_is_expected_is_for_the_caller_to_judge(chip: Chip) -> None:
    _, do = raising(0x1DF, 1)
    with pytest.raises(Said, match=r"^0x9f$"):
        chip.tpm.ask(do, expects=frozenset({tpm.RC_INTEGRITY}))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_chip_has_one_name_over_power_cuts_and_clears_and_no_other_has_it(
    chip: Chip, other: Chip
) -> None:
    name = chip.tpm.name()
    assert len(name) == 34
    chip.again()
    assert chip.tpm.name() == name
    chip.tool("tpm2_clear")
    assert chip.tpm.name() == name
    assert other.tpm.name() != name


@pytest.mark.slow
def test_no_descriptor_is_left_of_a_chip_that_refuses(
    chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_esapi: object) -> None:
        raise TSS2_Exception(0x902)

    monkeypatch.setattr(tpm, "_flush", refuse)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(Fault, match=r"^tpm-busy$"):
            chip.tpm.name()
    assert len(os.listdir("/proc/self/fd")) == before
