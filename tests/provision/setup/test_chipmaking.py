"""The statement key in a chip, as a request for a certificate asks of it."""

from pathlib import Path

import pytest

from sdbox_agent import setupcommand
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.identity import request
from sdbox_agent.paths import Paths
from sdbox_agent.pki import boxcertificate
from sdbox_agent.provision.setup.chipmaking import ChipKeys
from sdbox_agent.provision.setup.enrolling import Keyed
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_agent.state import store
from sdbox_agent.state.model import ModelFileSystem
from sdbox_centre import authority
from tests.identity.chip import Chip, chip, factory, manufactured, other
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import PLACES

__all__ = ["chip", "factory", "other"]
pytestmark = pytest.mark.slow


def test_a_key_is_kept_wrapped_and_signs_its_own_request(chip: Chip, other: Chip) -> None:
    keys = ChipKeys(chip.tpm)
    assert keys.purposes == ("statement",)  # a TLS key on the disk would undo what it is worth
    kept = keys.make("statement")
    assert keys.name("statement") == "statement.tpm"
    signer = keys.open("statement", kept)
    assert request.ask("box-07", "statement", signer).request.box == "box-07"
    assert not signer.copyable
    with pytest.raises(DecodeError):
        keys.open("statement", FileKeys(authority.new_key).make("statement"))
    with pytest.raises(Fault, match="tpm-foreign"):
        ChipKeys(other.tpm).open("statement", kept)


def test_a_chip_s_box_keeps_and_certifies_the_one_key(chip: Chip) -> None:
    keyed = Keyed(ModelTree(), PLACES, ChipKeys(chip.tpm))
    assert not keyed.holds()
    keyed.act()
    assert keyed.holds()
    der = keyed.key("statement").public_key_der
    assert keyed.shown() == boxcertificate.shown(der, der)


def test_set_up_takes_the_chip_that_is_there_and_a_box_without_one_stays_so(
    tmp_path: Path, factory: Path
) -> None:
    paths = Paths(tmp_path)
    assert setupcommand._chip(paths) is None
    assert isinstance(setupcommand._keys(None), FileKeys)
    paths.tpm.parent.mkdir()
    chip = Chip(manufactured("one", factory), tmp_path / "chip", paths.tpm)
    found = setupcommand._chip(paths)
    assert isinstance(setupcommand._keys(found), ChipKeys)
    disk = ModelFileSystem()
    counter, known = setupcommand._first(paths.root, found, dict)
    store.create(disk, counter, known)
    store.load(disk, counter)
    with pytest.raises(Fault, match="counter-lost"):
        store.load(disk)
    found.close()
    (paths.config / "identity").mkdir(parents=True)
    (paths.config / "identity/statement.tpm").touch()
    paths.tpm.rename(tmp_path / "away")  # no key in a file is made beside the chip's
    assert isinstance(setupcommand._keys(setupcommand._chip(paths)), ChipKeys)
    (tmp_path / "away").rename(paths.tpm)
    (paths.config / "identity/statement.tpm").unlink()
    (paths.config / "identity/statement.key").touch()
    assert setupcommand._chip(paths) is None
    assert setupcommand._first(paths.root, None, dict)[0] is None
    chip.end()
