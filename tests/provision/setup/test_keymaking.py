"""Keys in files, as a request for a certificate asks of them."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sdbox_agent.errors import DecodeError
from sdbox_agent.identity import request
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_centre import authority

KEYS = FileKeys(authority.new_key)


@pytest.mark.parametrize("purpose", ["tls", "statement"])
def test_a_key_is_kept_opened_and_signs_its_own_request(purpose) -> None:
    kept = KEYS.make(purpose)
    signer = KEYS.open(purpose, kept)
    asked = request.ask("box-07", purpose, signer)
    assert asked.request.box == "box-07"
    assert KEYS.name(purpose) == f"{purpose}.key"
    assert "PRIVATE" not in repr(signer)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_any_other_key_is_none(key) -> None:
    for kept in (authority.key_pem(key), b"", b"no"):
        with pytest.raises(DecodeError):
            KEYS.open("tls", kept)
