"""What any StatementKey does. A test calls it with one, and says whether it can be copied."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sdbox_agent.identity.port import StatementKey

MESSAGES = (b"", b"m", b"a message longer than one block of SHA-256" * 20)


def holds(key: StatementKey, *, copyable: bool) -> None:
    assert key.copyable is copyable
    assert isinstance(key.public_key.curve, ec.SECP256R1)
    public = load_der_public_key(key.public_key_der)
    assert public == key.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for message in MESSAGES:
        signature = key.sign(message)
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        with pytest.raises(InvalidSignature):
            public.verify(signature, message + b"!", ec.ECDSA(hashes.SHA256()))
    assert key.sign(b"m") != key.sign(b"m")  # a nonce is drawn each time
