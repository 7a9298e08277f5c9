"""Cards through their maker's library: OpenSC over the virtual card, SoftHSM2 as another maker."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import ipc
from sdbox_agent.card import pcsc
from sdbox_agent.card.looks import Look
from sdbox_agent.card.pkcs11 import LibraryToken
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.card.token import Face
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import AskAgain, Bug, Fault, Refused, SdboxError
from sdbox_agent.pki import cms, reference
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.statements import fields, jws
from sdbox_centre import desk as enrolment
from tests.card.double import PivDouble, certificate, key
from tests.card.test_conversation import PROOF, RECEIPT, RENEW, point_of
from tests.card.test_service import statement as asked
from tests.kinds import MATCH
from tests.pki import grown
from tests.waiting import PATIENCE_S, until
from tests.workers.test_card import Bench

pytest.importorskip("hil.pcscd")

from hil.pcscd import Pcscd
from hil.softhsm import MODULE as SOFTHSM
from hil.softhsm import soft_token
from tests.card.pkcs11_bench import (
    ALGORITHMS,
    GENERAL_AUTHENTICATE,
    OPENSC,
    ROOT,
    VERIFY,
    Desk,
    new_card,
    other,
    pin,
    scripted,
    times,
)

pytestmark = pytest.mark.rig


@dataclass
class Maker:
    """One maker's card with its library: what opens it, and a token to open."""

    kind: CardKind
    token: LibraryToken
    unwraps: Callable[[], int | None] = lambda: None  # the card's own count, where it has one


@pytest.fixture(params=[f"{m}-{a}" for m in ("opensc", "softhsm") for a in ALGORITHMS])
def maker(request, desk: Desk, tmp_path: Path, monkeypatch) -> Maker:
    which, algorithm = request.param.split("-", 1)
    kinds = {"9A": algorithm, "9D": algorithm, "9E": "P-256"}
    if which == "opensc":
        desk.put(new_card(algorithm))
        return Maker(OPENSC, desk.token(), lambda: times(desk.insertion.log, GENERAL_AUTHENTICATE))
    keys = {name: key(kind, name) for name, kind in kinds.items()}
    made = soft_token(tmp_path, keys, {name: certificate(one) for name, one in keys.items()})
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    kind = CardKind(
        name="other-maker",
        access="pkcs11",
        module=SOFTHSM,
        token_serial=made.serial,
        pin_policy="once",
    )
    # Presence is PC/SC's; the library's own token is a file.
    token = LibraryToken(scripted)
    desk.made.append(token)
    return Maker(kind, token)


def verified(statement: fields.Statement, token: LibraryToken, face: Face, name: str) -> bool:
    done = token.sign(statement, name)
    message = jws.assemble(done.payload, [(done.protected, done.signature)])
    der = face.certificates[name]
    return jws.open_statement(fields.typ_of(statement), message, [der]) == statement


def as_card(face: Face) -> CardCertificates:
    return CardCertificates(*(face.certificates[name] for name in ("9A", "9D", "9E")))


def sealed_to(face: Face) -> bytes:
    subject = enrolment.Subject("test-holder-01", "test-enrolment-01", (1, 2))
    signer = grown.signer()
    made = enrolment.enrol(grown.RECORD, as_card(face), subject, grown.NOW, signer)
    return made.sealed_der


def test_a_session_whichever_library_it_is(maker: Maker) -> None:
    """Proof before the PIN, then one login for receipt, reference and leases; one unwrap."""
    face = maker.token.open((maker.kind,))
    assert face.kind is maker.kind
    assert (face.guid, face.bits, face.pin_left, face.pad) == (None, (), 2, False)
    assert verified(PROOF, maker.token, face, "9E")
    assert maker.token.verify_pin(pin(), last=False) is None
    sealed = sealed_to(face)
    parsed = cms.parse(sealed)
    before = maker.unwraps()
    secret = maker.token.unwrap(parsed.algorithm, parsed.blob)
    if before is not None:
        assert maker.unwraps() == before + 1
    signed = cms.decrypt(parsed, secret, face.certificates["9D"])
    anchors = [grown.desk_authority().certificate_der]
    opened = reference.verify(signed, anchors, as_card(face), "test-enrolment-01", grown.NOW_S)
    assert opened.record == grown.RECORD
    for statement in (PROOF, RECEIPT, RENEW, RENEW):
        assert verified(statement, maker.token, face, "9A")
    maker.token.close()
    with pytest.raises(Refused, match="card-removed"):
        maker.token.sign(PROOF, "9E")


@contextlib.contextmanager
def ending(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        assert bench.end() == 0


class RealBench(Bench):
    """The whole worker, over PC/SC."""

    def _connect(self, reader: str, events: int) -> pcsc.Connection:
        return pcsc.Connection(reader, events)


def test_the_worker_takes_a_card_by_the_first_kind_that_fits(desk: Desk, tmp_path: Path) -> None:
    """A kind of another way first; then two sessions, the second with a child that waited."""
    desk.put(new_card())
    with ending(RealBench(tmp_path)) as bench:
        bench.readers((Look(desk.slot.reader_name, True, desk.events),))
        core, prompt = bench.core(), bench.prompt()
        core.send(ipc.Watch())
        assert [type(core.receive()) for _ in range(2)] == [ipc.Inserted, ipc.ReadersChanged]
        for n in (7, 8):
            core.send(ipc.OpenCard(n=n, insertion=1, kinds=(MATCH, OPENSC)))
            opened = core.receive()
            assert isinstance(opened, ipc.Opened)
            assert (opened.kind, opened.guid, opened.pin_left) == (OPENSC.name, None, 2)
            core.send(ipc.GrantPin(n=n))
            core.send(asked(session=f"boot-{n}", n=n))
            assert isinstance(core.receive(), ipc.Signed)
            prompt.sock.send(n.to_bytes(4) + b"\0" + pin())
            assert core.receive() == ipc.PinEntered(n=n)
            assert prompt.sock.recv(16) == bytes([0, 0xFF])
            core.send(asked("receipt", "9A", session=f"boot-{n}", n=n))
            assert isinstance(core.receive(), ipc.Signed)
            core.send(ipc.CloseCard(n=n))
            assert core.receive() == ipc.CardClosed(n=n)
        core.close()
        prompt.close()
    assert desk.pin_status() == 0x63C5


# -- what is left in the card ------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["once", "never"])
@pytest.mark.parametrize("end", ["close", "kill -9", "stop"])
def test_no_pin_is_left_in_the_card(desk: Desk, policy: str, end: str) -> None:
    """Stack finding 1: a session's end leaves a PIN good. A reset does not."""
    desk.put(new_card(policy=policy))
    token = desk.logged_in()
    token.sign(RECEIPT, "9A")
    if end == "kill -9":
        assert token.child_pid
        os.kill(token.child_pid, signal.SIGKILL)
        with pytest.raises(Fault, match="card-failed"):
            token.sign(RECEIPT, "9A")
        assert token.child_pid is None
    elif end == "stop":
        token.stop()
    token.close()
    assert desk.pin_status() == 0x63C5


def test_one_login_and_no_more(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.logged_in()
    for statement in (RECEIPT, RENEW, RENEW):
        token.sign(statement, "9A")
    assert times(desk.insertion.log, VERIFY) == 1


def test_nobody_else_uses_the_card_meanwhile(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.logged_in()
    with pytest.raises(Fault, match="card-in-use"):
        desk.connect()
    token.close()
    desk.connect().close()


def test_what_another_program_left_open_is_closed_first(desk: Desk) -> None:
    desk.put(new_card())
    command = ["pkcs11-tool", "--slot-index", "0", "--login", "--pin", "123456", "-O"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    token = desk.opened()
    with pytest.raises(Fault, match="card-key-refused"):
        token.sign(RECEIPT, "9A")


def test_the_library_dies_with_the_worker(desk: Desk) -> None:
    """Killed, with the library stopped besides: neither process nor PIN is left."""
    desk.put(new_card())
    code = (
        "import time\n"
        "from functools import partial\n"
        "from sdbox_agent.card import pcsc\n"
        "from sdbox_agent.card.pkcs11 import LibraryToken\n"
        "from tests.card.test_pkcs11 import OPENSC, pin\n"
        f"connect = partial(pcsc.Connection, {desk.slot.reader_name!r}, {desk.events})\n"
        "token = LibraryToken(connect)\n"
        "token.open((OPENSC,))\n"
        "assert token.verify_pin(pin(), last=False) is None\n"
        "print(token.child_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        child = int(worker.stdout.readline())
        watched = os.pidfd_open(child)
        os.kill(child, signal.SIGSTOP)
        worker.kill()
        try:
            assert select.select([watched], [], [], PATIENCE_S)[0], "the library is still there"
        finally:
            os.close(watched)

    def status() -> int | None:
        with contextlib.suppress(SdboxError):  # the library has not let go of the card yet
            return desk.pin_status()
        return None

    assert until(status) == 0x63C5


def test_the_child_is_closed(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.opened()
    status = Path(f"/proc/{token.child_pid}/status").read_text()
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (found["CapPrm"], found["CapEff"], found["CapInh"]) == ("0" * 16,) * 3
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    arguments = Path(f"/proc/{token.child_pid}/cmdline").read_bytes()
    assert b".so" not in arguments


# -- PIN ---------------------------------------------------------------------------------------


def test_before_the_pin_nothing_of_9a_and_9d(desk: Desk) -> None:
    desk.put(new_card())
    for use in (
        lambda token: token.sign(RECEIPT, "9A"),
        lambda token: token.unwrap("ecdh", point_of(ec.generate_private_key(ec.SECP256R1()))),
    ):
        token = desk.opened()
        with pytest.raises(SdboxError, match=r"card-key-refused|reference-not-for-this-card"):
            use(token)
        token.close()
    assert times(desk.insertion.log, GENERAL_AUTHENTICATE) == 0


def test_the_last_try_is_not_spent_without_saying_so(desk: Desk) -> None:
    desk.put(new_card(tries=3))
    token = desk.opened()
    assert token.verify_pin(pin(b"999999"), last=False) == 2
    assert token.verify_pin(pin(b"999999"), last=False) == 1
    tried = times(desk.insertion.log, VERIFY)
    with pytest.raises(AskAgain, match="pin-last-try"):
        token.verify_pin(pin(), last=False)
    assert times(desk.insertion.log, VERIFY) == tried == 2
    assert token.verify_pin(pin(), last=True) is None
    assert token.sign(RECEIPT, "9A")


def test_a_blocked_pin_is_not_tried(desk: Desk) -> None:
    desk.put(new_card(tries=2))
    token = desk.opened()
    assert token.verify_pin(pin(b"999999"), last=False) == 1
    assert token.verify_pin(pin(b"999999"), last=True) == 0
    tried = times(desk.insertion.log, VERIFY)
    assert token.verify_pin(pin(), last=True) == 0
    assert times(desk.insertion.log, VERIFY) == tried
    token.close()
    assert desk.pin_status() in {0x6983, 0x63C0}  # "blocked", or "no try left"


def test_a_second_login_is_no_success(desk: Desk) -> None:
    """Stack finding 7: a library that is logged in does not ask the card."""
    desk.put(new_card())
    token = desk.logged_in()
    with pytest.raises(Fault, match="card-failed"):
        token.verify_pin(pin(b"999999"), last=False)


def test_a_pad_or_a_finger_that_is_not_there_is_a_bug(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.opened()
    with pytest.raises(Bug, match="worker-protocol"):
        token.verify_pin(None, last=False)
    with pytest.raises(Bug, match="worker-protocol"):
        token.compare("96", bytes(36))


# -- which card, which library -----------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        other(token_serial="0123456789abcdef"),
        other(atr=b"\x3b\x00"),
        other(algorithms=("RSA-3072",)),
        other(access="pcsc", module=""),
    ],
)
def test_a_card_of_another_kind_is_left_alone(desk: Desk, kind: CardKind) -> None:
    desk.put(new_card())
    token = desk.token()
    with pytest.raises(Refused, match="card-kind-unknown"):
        token.open((kind,))
    assert token.child_pid is None
    desk.connect().close()


def test_the_first_kind_that_fits_is_taken(desk: Desk) -> None:
    card = new_card()
    desk.put(card)
    mine = other(name="mine", token_serial=card.guid.hex[-16:])
    kinds = (other(token_serial="0123456789abcdef"), mine, OPENSC)
    assert desk.token().open(kinds).kind is mine


def test_two_tokens_and_no_serial_are_ambiguous(desk: Desk) -> None:
    desk.put(new_card())
    second = Pcscd.shared().reader(1)
    try:
        second.insert(new_card()).wait_powered()
        with pytest.raises(AskAgain, match="ambiguous-card"):
            desk.opened()
    finally:
        second.remove()


def test_a_closed_token_opens_no_more() -> None:
    token = LibraryToken(scripted)
    token.close()
    with pytest.raises(Refused, match="card-removed"):
        token.open((OPENSC,))


def test_a_contactless_card_is_refused() -> None:
    atr = bytes.fromhex("3B8080010101")
    token = LibraryToken(partial(ScriptedCard, PivDouble(), atr=atr))
    with pytest.raises(Refused, match="card-contactless"):
        token.open((OPENSC,))
