"""`python -m hil.card`, against a reader: pcscd's own, asked by OpenSC."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from hil import scratch
from hil.card import __main__ as command
from hil.card import holder
from hil.pcscd import FIRST_PORT, Pcscd
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[3]


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--list-faults"])
    assert "silent-swap:N" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "1"], "no reader listens on port 1: is pcscd running"),
        (["--fault", "tear"], "tear is no fault: tear:N"),
        (["--fault", "tear:1", "--fault", "mute:1"], "two faults for one exchange"),
        (["--netns", "/proc/none"], "No such file"),
        (["--finger", "95:2:/dev/null"], "a finger is held at 96 or 97"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments: list[str], says: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(says)):
        command.main(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--algorithms", "P-521"],
        ["--algorithms", "9B=P-256"],
        ["--finger", "96:index.bin"],
        ["--match", "score"],
    ],
)
def test_a_wrong_argument_is_told_with_what_would_be_right(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2
    assert re.search("P-384|POSITION|raw", capsys.readouterr().err)


# -- on a reader


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    directory = scratch.made("test")
    with Pcscd(directory, readers=2) as running:
        yield running
    scratch.removed(directory)


@contextmanager
def inserted(pcscd: Pcscd, *arguments: str, slot: int = 0) -> Iterator[subprocess.Popen[str]]:
    """The command, from the line that says the card is in; killed if it has not ended."""
    reader = ["--netns", f"/proc/{pcscd.pid}/ns/net", "--port", str(FIRST_PORT + slot)]
    started = subprocess.Popen(
        [sys.executable, "-m", "hil.card", *reader, "--seconds", "30", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        first = started.stdout.readline()
        assert first.startswith("in: "), started.stderr.read()
        yield started
    finally:
        started.kill()
        started.communicate()


def opensc(pcscd: Pcscd, *arguments: str, slot: int = 0) -> str:
    tool, *rest = arguments
    done = subprocess.run(
        [tool, "--reader", str(slot), *rest],
        env={**os.environ, **pcscd.environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def seen(pcscd: Pcscd, slot: int = 0) -> None:
    """Until pcscd knows of the card: `opensc-tool -w` misses one that comes as it starts."""
    line = re.compile(rf"^{slot} +Yes", re.MULTILINE)
    until(lambda: line.search(opensc(pcscd, "opensc-tool", "-l", slot=slot)))


def ended(started: subprocess.Popen[str]) -> str:
    out, err = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, err) == (0, "")
    return out


@pytest.mark.rig
def test_a_card_is_there_until_it_is_pulled(pcscd: Pcscd, tmp_path: Path) -> None:
    issuer = tmp_path / "issuer"
    with inserted(pcscd, "--identity", "holder-2", "--issuer-out", str(issuer)) as started:
        seen(pcscd)
        assert "Personal Identity Verification Card" in opensc(pcscd, "opensc-tool", "-n")
        serial = opensc(pcscd, "piv-tool", "--serial")
        assert bytes.fromhex(serial.split(" .")[0][:47]) == holder.guid("holder-2").bytes
        started.send_signal(signal.SIGTERM)
        out = ended(started)
    assert "CB 3F FF" in out
    assert re.search(r"^out, after \d+ APDUs and \d+ resets$", out, re.MULTILINE)
    assert x509.load_pem_x509_certificate(issuer.read_bytes()).subject


@pytest.mark.rig
def test_a_torn_card_ends_the_command(pcscd: Pcscd) -> None:
    with inserted(pcscd, "--fault", "tear:3", slot=1) as started:
        seen(pcscd, 1)
        opensc(pcscd, "opensc-tool", "-s", "00A4040009A0000003080000100000", slot=1)
        out = ended(started)
    assert re.search(r"^   3 .*   -  ", out, re.MULTILINE)
    assert "out, after 3 APDUs" in out


@pytest.mark.rig
def test_a_second_card_in_a_slot_is_told_that_nobody_powers_it(pcscd: Pcscd) -> None:
    with inserted(pcscd, "--match", "7f2e", "--match-bound"), inserted(pcscd) as second:
        assert "another card in this slot?" in second.stdout.readline()


@pytest.mark.rig
def test_a_reader_that_goes_ends_the_command(pcscd: Pcscd) -> None:
    with inserted(pcscd) as started:
        pcscd.stop()
        _, err = started.communicate(timeout=PATIENCE_S)
        pcscd.start()
    assert (started.returncode, err) == (1, "hil.card: the reader is gone\n")
