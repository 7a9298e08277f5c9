"""The FASC-N against published encodings."""

import pytest

from hil.card.fascn import Fascn


def test_the_worked_example_of_tig_scepacs_comes_out() -> None:
    # TIG SCEPACS 2.3, table 6-2.
    fascn = Fascn("0032", "0001", "092446", "0", "1", "1112223333", "1", "1223", "2")
    assert fascn.encode().hex() == "d0439458210c2c19a0846d83685a1082108ce73984108ca3fc"


def test_a_card_no_agency_issued_has_the_usual_number() -> None:
    # As PIV-I and YubiKey cards carry it up to the person's fields.
    assert Fascn().encode().hex() == "d4e739da739ced39ce739d836858210842108421c84210c3eb"


@pytest.mark.parametrize("agency", ["", "12", "12345", "12a4", "١٢٣٤"])
def test_fields_are_digits_of_a_fixed_number(agency: str) -> None:
    with pytest.raises(ValueError, match="FASC-N"):
        Fascn(agency=agency).encode()
