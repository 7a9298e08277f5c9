"""A statement key in a file (what is refused of one: test_keys.py)."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.identity import filekey
from tests.identity import key_contract
from tests.identity.test_keys import key_pem


def test_it_signs_as_any_statement_key_does(tmp_path: Path) -> None:
    path = tmp_path / "statement.key"
    path.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))
    path.chmod(0o400)
    key = filekey.load(path)
    key_contract.holds(key, copyable=True)
    assert "PRIVATE" not in repr(key)
