"""What a gateway hands over: its form; and that nothing of it is believed that does not verify."""

import msgspec
import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.statements import fields, jws
from sdbox_centre import handover
from sdbox_centre.gateway import Gateway
from sdbox_centre.gateway_wire import Admit, Remove, Renewed
from sdbox_centre.handover import KeptLease, Memory
from tests.fuzz import fuzz_handover
from tests.fuzz.fuzz_handover import EMPTY, WHOLE
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install, refused, renewal
from tests.sdbox_centre.world import World


@pytest.mark.parametrize("whole", [WHOLE, EMPTY], ids=["whole", "empty"])
def test_it_is_read_back_as_it_was(whole: handover.HandOver) -> None:
    assert handover.decode(handover.encode(whole)) == whole


def test_every_descriptor_in_it_is_kept_open() -> None:
    assert sorted(WHOLE.descriptors) == [3, 4, 9, 10, 11, 12]


@given(st.binary())
@example(b"\xff")
@example(b"[" * 100_000)
@example(handover.encode(EMPTY).replace(b'"v":1', b'"v":2'))
@example(handover.encode(WHOLE).replace(b"1060.25", b"NaN"))
@example(handover.encode(WHOLE).replace(b"1060.25", b"1e999"))
def test_anything_else_is_a_decode_error(text: bytes) -> None:
    with pytest.raises(DecodeError):
        handover.decode(text)


@pytest.mark.parametrize("seed", fuzz_handover.SEEDS)
def test_the_fuzz_target_takes_its_seeds(seed: bytes) -> None:
    fuzz_handover.target(seed)


def next_program(world: World, lease_s: int = w.LEASE_S) -> Gateway:
    """Over the same interface, with its own eyes on the same files."""
    return Gateway(
        world.rules(),
        w.Book(world.root / "boxes", world.root / "projects"),
        lambda _project: world.peers,
        w.Clocks(world.clock.utc_s, world.clock.mono_s),
        w.os.urandom,
        lease_s,
    )


def through(world: World, memory: Memory | None = None, lease_s: int = w.LEASE_S) -> Gateway:
    """What the process does: resume, put strangers out, look at cards."""
    told = handover.encode(msgspec.structs.replace(EMPTY, memory=memory or world.gateway.memory()))
    gateway = next_program(world, lease_s)
    gateway.resume(handover.decode(told).memory)
    gateway.reconcile(w.PROJECT)
    gateway.review.go_on(1.0)
    return gateway


def changed(memory: Memory, **values: object) -> Memory:
    """With its first lease altered."""
    first = msgspec.structs.replace(memory.leases[0], **values)
    return msgspec.structs.replace(memory, leases=(first, *memory.leases[1:]))


def test_a_lease_goes_on_and_not_a_second_longer(world: World) -> None:
    request = install(world)
    first = world.gateway.answer(request)
    world.clock.move(20)
    renewed = renewal(world, 1)
    world.gateway.answer(renewed)
    world.clock.move(7)
    gateway = through(world)
    assert len(world.peers.peers) == 1
    left_s = w.LEASE_S - 7
    assert gateway.answer(renewed) == Renewed(lease_s=left_s)
    assert gateway.answer(request) == msgspec.structs.replace(first, lease_s=left_s)
    with refused("lease-refused"):
        gateway.answer(renewal(world, 3))
    world.clock.move(left_s - 1)
    assert gateway.answer(renewal(world, 2)) == Renewed(lease_s=w.LEASE_S)
    world.clock.move(w.LEASE_S)
    gateway.expire()
    assert not world.peers.peers


def test_what_was_seen_stays_seen_and_what_is_on_its_way_is_taken(world: World) -> None:
    seen, late = install(world), install(world, n=2)
    world.gateway.answer(seen)
    world.gateway.answer(Remove(keys=(f"{world.box.name}/{world.box.boot_id}-1",)))
    world.clock.move(5)
    gateway = through(world)
    with refused("challenge-used"):
        gateway.answer(seen)
    gateway.answer(late)  # signed before the reload, arrived after it
    assert len(world.peers.peers) == 1


def test_a_carriers_token_is_still_taken_once(world: World) -> None:
    carrier = world.gateway.answer(install(world)).carrier
    gateway = through(world)
    gateway.answer(Admit(token=carrier.token, port=4000))
    with refused("carrier-refused"):
        gateway.answer(Admit(token=carrier.token, port=4000))


def test_a_lease_that_is_over_is_not_taken(world: World) -> None:
    world.gateway.answer(install(world))
    memory = world.gateway.memory()
    world.clock.move(w.LEASE_S)
    gateway = through(world, memory)
    assert not world.peers.peers
    assert gateway.expire() is None


def test_no_lease_gets_more_than_the_new_settings_give(world: World) -> None:
    world.gateway.answer(install(world))
    gateway = through(world, changed(world.gateway.memory(), ends_s=1e6), lease_s=10)
    assert gateway.expire() == 10


def another_signer(world: World, kept: KeptLease) -> dict:
    return {"statement": install(world, by=w.make_box(world.boxes, 1, world.now)).statement}


def another_card(world: World, kept: KeptLease) -> dict:
    other = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card, other])
    three = other.certificates
    return {"certificates": (three.auth, three.key_management, three.card_auth)}


def another_box(world: World, kept: KeptLease) -> dict:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    return {"box": box.name}


def another_session(world: World, kept: KeptLease) -> dict:
    return {"renewal": renewal(world, 1, session=2).statement}


def another_key(world: World, kept: KeptLease) -> dict:
    return {"renewal": renewal(world, 1, key=world.box.statement_key).statement}


def another_statement(world: World, kept: KeptLease) -> dict:
    return {"statement": install(world).statement}  # genuine, of a key that has no peer


@pytest.mark.parametrize(
    "change",
    [
        another_signer,
        another_card,
        another_box,
        another_session,
        another_key,
        another_statement,
        lambda world, kept: {"statement": kept.statement[:-20] + b"A" + kept.statement[-19:]},
        lambda world, kept: {"renewal": b""},
        lambda world, kept: {"host": 0},
        lambda world, kept: {"host": 1},  # the VM's
        lambda world, kept: {"host": 3},  # nobody's: the peer has another's address
        lambda world, kept: {"host": 2**31},
    ],
)
def test_what_does_not_verify_is_put_out(world: World, change) -> None:
    world.gateway.answer(install(world))
    memory = world.gateway.memory()
    gateway = through(world, changed(memory, **change(world, memory.leases[0])))
    assert not world.peers.peers
    with pytest.raises(SdboxError):
        gateway.answer(renewal(world, 1))


@pytest.mark.parametrize("certificate", [1, 2], ids=["9D", "9E"])
def test_certificates_of_another_card_are_found_as_soon_as_paths_are_looked_at(
    world: World, certificate: int
) -> None:
    world.gateway.answer(install(world))
    memory = world.gateway.memory()
    three = list(memory.leases[0].certificates)
    other = w.make_card(world.cards, 2, world.now).certificates
    three[certificate] = (other.auth, other.key_management, other.card_auth)[certificate]
    through(world, changed(memory, certificates=tuple(three)))
    assert not world.peers.peers


def test_two_leases_of_one_card_or_one_place_are_one(world: World) -> None:
    other = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card, other])
    world.gateway.answer(install(world))
    world.gateway.answer(install(world, n=2, card=other))
    memory = world.gateway.memory()
    one, two = memory.leases
    place = msgspec.structs.replace(two, host=one.host)
    through(world, msgspec.structs.replace(memory, leases=(one, one, place)))
    (peer,) = world.peers.peers.values()
    assert peer.public_key == fields.parse("receipt", payload(one)).wg_public_key


def payload(kept: KeptLease) -> bytes:
    return jws.unb64url(msgspec.json.decode(kept.statement)["payload"])


@pytest.mark.parametrize("what", ["card", "box", "project", "list"])
def test_what_was_taken_away_meanwhile_is_not_taken_over(world: World, what: str) -> None:
    world.gateway.answer(install(world))
    memory = world.gateway.memory()
    match what:
        case "card":
            world.write_project([])
        case "box":
            (world.root / "boxes" / f"{world.box.name}.pem").unlink()
        case "project":
            (world.root / "projects" / f"{w.PROJECT}.toml").unlink()
        case "list":
            auth = x509.load_der_x509_certificate(world.card.certificates.auth)
            world.publish_crl(auth.serial_number)
    through(world, memory)
    assert not world.peers.peers
