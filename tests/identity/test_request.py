"""A request is made by whatever holds the key, and is checked before it leaves."""

import dataclasses

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.identity import request
from sdbox_agent.pki import csr
from tests.pki import boxed


def test_it_asks_in_the_boxs_name_for_its_key() -> None:
    asked = request.ask(boxed.BOX, "statement", boxed.key())
    assert asked.purpose == "statement"
    assert csr.parse(asked.csr_der) == asked.request
    assert asked.request == csr.Request(boxed.BOX, boxed.key().private.public_key())


def test_a_name_no_certificate_can_bear_is_the_settings_fault() -> None:
    with pytest.raises(Fault, match="config-invalid"):
        request.ask("a box", "tls", boxed.key())


@dataclasses.dataclass(frozen=True)
class Broken:
    """A key that signs with another."""

    public_key_der = boxed.key().public_key_der
    sign = boxed.key("other").sign


def test_a_key_that_signs_as_another_is_found_out() -> None:
    with pytest.raises(Fault, match="box-key-failed"):
        request.ask(boxed.BOX, "tls", Broken())


def test_neither_key_nor_request_is_shown() -> None:
    asked = request.ask(boxed.BOX, "tls", boxed.key())
    assert asked.csr_der.hex() not in repr(asked)
    assert "csr_der" not in repr(asked)
