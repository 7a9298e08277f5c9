"""A statement key in a TPM: it signs there, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.identity import tpmfile, tpmkey
from sdbox_agent.identity.tpmfile import WrappedKey
from sdbox_agent.identity.tpmkey import TpmKey
from tests.identity import key_contract
from tests.identity.chip import Chip, chip, factory, other

__all__ = ["chip", "factory", "other"]
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def fault(code: str) -> pytest.RaisesExc[Fault]:
    return pytest.RaisesExc(Fault, match=rf"^{code}$")


def test_it_signs_as_any_statement_key_does(chip: Chip) -> None:
    wrapped = tpmkey.create(chip.tpm)
    key_contract.holds(TpmKey(chip.tpm, wrapped), copyable=False)
    assert tpmkey.create(chip.tpm) != wrapped  # a new one each time


def test_it_is_what_openssls_providers_take_it_for(chip: Chip, tmp_path: Path) -> None:
    """tpm2-tools reads the public half from the file, and the chip says the same of it."""
    wrapped = tpmkey.create(chip.tpm)
    path = tmp_path / "public"
    path.write_bytes(wrapped.public)
    said = chip.tool("tpm2_print", "-t", "TPM2B_PUBLIC", str(path))
    attributes = next(line for line in said.splitlines() if "fixedtpm" in line)
    assert attributes.split(":")[-1].strip().split("|") == [
        "fixedtpm", "fixedparent", "sensitivedataorigin", "userwithauth", "noda", "sign",
    ]  # fmt: skip


def test_the_chip_keeps_nothing_of_it_and_has_it_again_after_a_power_cut(chip: Chip) -> None:
    key = TpmKey(chip.tpm, tpmkey.create(chip.tpm))
    assert chip.tool("tpm2_getcap", "handles-persistent").strip() == ""
    chip.again()
    assert key.sign(b"m")  # a new connection, and the key loaded again
    chip.soft.stop()
    with fault("tpm-away"):
        key.sign(b"m")
    chip.soft.start()
    assert key.sign(b"m")


def test_a_copied_key_is_refused_by_any_other_chip(chip: Chip, other: Chip) -> None:
    wrapped = tpmkey.create(chip.tpm)
    with fault("tpm-foreign"):
        TpmKey(other.tpm, wrapped)
    forged = WrappedKey(other.tpm.name(), wrapped.public, wrapped.private)
    with fault("tpm-cleared"):  # who names the other chip in the file gains another sentence
        TpmKey(other.tpm, forged)
    assert TpmKey(chip.tpm, wrapped).sign(b"m")


def test_a_public_half_that_is_not_the_keys_is_refused_by_the_chip(chip: Chip) -> None:
    one, two = tpmkey.create(chip.tpm), tpmkey.create(chip.tpm)
    with fault("tpm-cleared"):  # as after a clear: the chip does not know it as its own
        TpmKey(chip.tpm, WrappedKey(one.chip, two.public, one.private))


def test_a_chip_that_was_cleared_is_told_from_another(chip: Chip) -> None:
    wrapped = tpmkey.create(chip.tpm)
    key = TpmKey(chip.tpm, wrapped)
    chip.tool("tpm2_clear")
    with fault("tpm-cleared"):
        key.sign(b"m")
    with fault("tpm-cleared"):
        TpmKey(chip.tpm, wrapped)


def test_a_retired_chip_takes_no_copy_of_a_key(chip: Chip) -> None:
    wrapped = tpmkey.create(chip.tpm)
    chip.tpm.clear()
    with fault("tpm-cleared"):
        TpmKey(chip.tpm, wrapped)
    assert TpmKey(chip.tpm, tpmkey.create(chip.tpm)).sign(b"m")  # and is another box's chip


def test_a_locked_out_chip_still_signs(chip: Chip) -> None:
    """Wrong tries of others' codes must not close a box: our key asks for none (noDA)."""
    key = TpmKey(chip.tpm, tpmkey.create(chip.tpm))
    times = ("--max-tries=1", "--recovery-time=1000", "--lockout-recovery-time=1000")
    chip.tool("tpm2_dictionarylockout", "--setup-parameters", *times)
    chip.tool("tpm2_nvdefine", "0x1800001", "-a", "authread|authwrite", "-s", "8", "-p", "others")
    for said in ("(0x98E)", "(0x921)"):  # a wrong code; locked out
        with pytest.raises(subprocess.CalledProcessError) as caught:
            chip.tool("tpm2_nvread", "0x1800001", "-P", "wrong")
        assert said in caught.value.stderr
    assert key.sign(b"m")


LEAKER = """
import os, signal, sys
from pathlib import Path
from sdbox_agent.identity import tpmfile
from sdbox_agent.identity.tpm import Tpm
from sdbox_agent.identity.tpmkey import TpmKey
wrapped = tpmfile.parse(Path(sys.argv[2]).read_bytes())
tpm = Tpm(Path(sys.argv[1]))
for _ in range(2):
    TpmKey(tpm, wrapped)
print("loaded", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_in_the_chip_is_cleared_out(chip: Chip, tmp_path: Path) -> None:
    """Three places and no resource manager: the worst chip there is."""
    path = tmp_path / "statement.tpm"
    path.write_bytes(tpmfile.encode(tpmkey.create(chip.tpm)))
    chip.tpm.close()
    command = [sys.executable, "-c", LEAKER, str(chip.soft.socket_path), str(path)]
    for _ in range(3):
        child = subprocess.run(command, capture_output=True, cwd=ROOT, env=os.environ, check=False)
        assert child.stdout == b"loaded\n", child.stderr
    assert "0x80" in chip.tool("tpm2_getcap", "handles-transient")
    assert TpmKey(chip.tpm, tpmfile.parse(path.read_bytes())).sign(b"m")


def test_a_chip_with_ideas_of_its_own_makes_no_key(
    chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_kind = tpmfile.HEAD.replace(b"\x00\x23", b"\x00\x08", 1)
    monkeypatch.setattr(tpmfile, "HEAD", other_kind)
    with fault("tpm-failed"):
        tpmkey.create(chip.tpm)


def test_nothing_of_a_key_is_ever_printed(chip: Chip) -> None:
    key = TpmKey(chip.tpm, tpmkey.create(chip.tpm))
    assert "private" not in repr(key).lower()
