"""The token of another maker, as a third party's tool lists it."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hil.softhsm import FREE, MODULE, soft_token

pytestmark = pytest.mark.rig


def test_a_token_holds_what_was_put_in(tmp_path: Path) -> None:
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("9A", "9D", FREE)}
    certificates = {name: name.encode() for name in keys}
    first = soft_token(tmp_path, keys, certificates, pin="222222")
    second = soft_token(tmp_path, keys, certificates)
    assert first.serial != second.serial
    environment = {**os.environ, **first.environment}
    tool = ["pkcs11-tool", "--module", MODULE]

    def run(*options: str) -> str:
        done = subprocess.run(
            [*tool, *options], env=environment, capture_output=True, check=True, text=True
        )
        return done.stdout

    slots = run("--list-slots")
    assert first.serial in slots
    assert second.serial in slots
    label = ["--token-label", "test-card"]
    assert run(*label, "-O").count("Private Key Object") == 1, "the one that asks for no PIN"
    index = ["--slot-index", "0" if slots.index(first.serial) < slots.index(second.serial) else "1"]
    listed = run(*index, "--login", "--pin", "222222", "-O")
    assert listed.count("Private Key Object") == 3
    assert listed.count("Certificate Object") == 3
    assert "never extractable" in listed or "sensitive" in listed
