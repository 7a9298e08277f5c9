import pytest

from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import jws
from sdbox_centre.staff import payload
from sdbox_centre.staff.signer import countersigned, signed
from tests.sdbox_centre.staff import members as m


def test_a_second_signature_is_over_what_the_first_was(tmp_path) -> None:
    first, second, _ = m.Members(tmp_path).members
    one = signed(m.unlock(), first.signer)
    both = countersigned(one, second.signer)
    auths = [first.card.certificates.auth, second.card.certificates.auth]
    assert jws.open_payload(payload.TYP, both, auths) == payload.encode(m.unlock())
    assert jws.signers(both) == (first.card.name, second.card.name)


@pytest.mark.parametrize("data", [b"", b"{}", jws.assemble(b"{}", [])])
def test_what_is_no_act_is_not_signed(tmp_path, data: bytes) -> None:
    with pytest.raises(DecodeError):
        countersigned(data, m.Members(tmp_path).members[0].signer)
