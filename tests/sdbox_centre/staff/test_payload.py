import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields
from sdbox_centre.staff import payload
from tests.sdbox_centre.staff import members as m


@pytest.mark.parametrize("act", m.ACTS, ids=lambda act: type(act).__name__)
def test_an_act_is_read_as_it_was_written(act: payload.Act) -> None:
    said = payload.encode(act)
    assert payload.parse(said) == act
    assert len(payload.id_of(act)) == 32
    for other in (b" " + said, said.replace(b'"n":1', b'"n":1.0'), said[:-1] + b',"x":1}'):
        with pytest.raises(DecodeError):
            payload.parse(other)


def test_a_project_that_was_signed_before_boxes_could_be_held_is_still_what_was_signed() -> None:
    """Its bytes are signed: what they do not say, nobody has to sign anew."""
    signed = (
        b'{"kind":"project","n":1,"utc_s":1,"motive":"m","project":"p","label":"L",'
        b'"levels":["host-match"],"state":"open","reason":null,"tenant":"public","funder":null,'
        b'"contract_from_s":null,"contract_until_s":null,"legal_basis":null,"legal_until_s":null,'
        b'"countries":[],"boxes":null}'
    )
    act = payload.parse(signed)
    assert isinstance(act, payload.Project)
    assert act.when_moved is msgspec.UNSET
    held = payload.encode(msgspec.structs.replace(act, when_moved="hold"))
    assert held == signed[:-1] + b',"when_moved":"hold"}'
    assert payload.encode(payload.parse(held)) == held


def test_subjects_differ_and_every_kind_has_a_role() -> None:
    assert len({act.subject for act in m.ACTS}) == len(m.ACTS)
    assert {act.ROLE for act in m.ACTS} == payload.ROLES


def test_no_statement_of_a_box_is_an_act_and_no_act_one_of_those() -> None:
    assert payload.TYP not in fields.TYPES
    renewal = fields.Renew(box="b", session="s", challenge=bytes(32), n=1)
    with pytest.raises(DecodeError):
        payload.parse(fields.encode(renewal))
    for act in m.ACTS:
        for typ in fields.TYPES:
            with pytest.raises(DecodeError):
                fields.parse(typ, payload.encode(act))


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (m.holder, {"motive": ""}),
        (m.holder, {"motive": "  "}),
        (m.holder, {"motive": "m" * 201}),
        (m.holder, {"motive": "a\nb"}),
        (m.holder, {"motive": "\x1b[31m"}),
        (m.holder, {"holder": "a/b"}),
        (m.holder, {"n": 0}),
        (m.card, {"card": b"short"}),
        (m.enrolment, {"not_after_s": m.NOW_S}),
        (m.enrolment, {"finger": False, "reference_sha256": bytes(32)}),
        (m.project, {"levels": ()}),
        (m.project, {"levels": ("host-match", "card-match")}),
        (m.project, {"levels": ("host-match", "host-match")}),
        (m.project, {"levels": ("root",)}),
        (m.project, {"countries": ("FR", "DE")}),
        (m.project, {"countries": ("fr",)}),
        (m.project, {"boxes": ("b", "a")}),
        (m.project, {"label": "two\nlines"}),
        (m.project, {"reason": "\u202e"}),
        (m.project, {"when_moved": "tell"}),
        (m.derogation, {"until_s": m.NOW_S + 90 * 86400 + 1}),
        (m.order, {"token_until_s": m.NOW_S}),
        (m.order, {"token_until_s": m.NOW_S + 91 * 86400}),
        (m.order, {"rental_until_s": m.NOW_S}),
        (m.order, {"voucher": ""}),
        (m.order, {"place": None}),
        (m.order, {"country": None}),
        (m.order, {"box": "a:b"}),
        (m.order, {"box": "a" * 65}),
        (m.box, {"state": "lost"}),
        (m.box, {"host": ""}),
        (m.window, {"until_s": m.NOW_S}),
        (m.window, {"until_s": m.NOW_S + 601}),
    ],
)
def test_what_can_not_be_true_is_no_act(make, changed: dict[str, object]) -> None:
    fine = msgspec.to_builtins(make(), str_keys=True)
    said = msgspec.json.encode({**fine, **msgspec.to_builtins(changed)})
    with pytest.raises(DecodeError):
        payload.parse(said)


@given(st.binary(max_size=200) | st.sampled_from([payload.encode(act) for act in m.ACTS]))
def test_bytes_are_an_act_in_its_one_form_or_refused(data: bytes) -> None:
    try:
        act = payload.parse(data)
    except DecodeError:
        return
    assert payload.encode(act) == data


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(DecodeError):
        payload.parse(bytes(payload.MAX_PAYLOAD_BYTES + 1))


def test_a_motive_says_why_in_a_line() -> None:
    assert payload.is_motive("a scar")
    assert not any(map(payload.is_motive, ("", " ", "m" * 201, "a\nb", "\x1b[31m")))
