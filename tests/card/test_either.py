"""Which way a card is spoken to: by the order of the kinds, one after another."""

from collections.abc import Callable

import pytest

from sdbox_agent.card.either import EitherToken
from sdbox_agent.card.token import Decision, Face, Signature
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import Fault, Refused, SdboxError
from tests.card.test_conversation import PROOF

FREE = CardKind(name="free")
PIN = CardKind(name="pin", pin_policy="once")
MAKER = CardKind(name="maker", access="pkcs11", module="/x.so")


class Way:
    """A token that knows some kinds, or fails; it notes what was done with it."""

    def __init__(self, *known: str, error: SdboxError | None = None) -> None:
        self.known = known
        self.error = error
        self.done: list[object] = []

    def open(self, kinds: tuple[CardKind, ...]) -> Face:
        self.done.append([kind.name for kind in kinds])
        for kind in kinds:
            if kind.name in self.known:
                return Face(kind, {})
        raise self.error or Refused("card-kind-unknown")

    def sign(self, statement, key) -> Signature:
        return Signature(b"", b"", key.encode())

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        return blob

    def compare(self, key, minutiae) -> Decision:
        return Decision(match=True)

    def verify_pin(self, field, *, last) -> int | None:
        return 2

    def stop(self) -> None:
        self.done.append("stop")

    def close(self) -> None:
        self.done.append("close")


def either(pcsc: Way, pkcs11: Way) -> EitherToken:
    return EitherToken({"pcsc": lambda: pcsc, "pkcs11": lambda: pkcs11})


def test_the_first_kind_that_fits_decides_the_way() -> None:
    pcsc, pkcs11 = Way("pin"), Way("maker")
    assert either(pcsc, pkcs11).open((FREE, PIN, MAKER)).kind is PIN
    assert (pcsc.done, pkcs11.done) == ([["free", "pin"]], [])
    pcsc, pkcs11 = Way("pin"), Way("maker")
    assert either(pcsc, pkcs11).open((MAKER, PIN)).kind is MAKER
    assert (pcsc.done, pkcs11.done) == ([], [["maker"]])


def test_a_way_that_does_not_know_the_card_lets_go_of_it_first() -> None:
    pcsc, pkcs11 = Way(error=Refused("not-a-piv-card")), Way("maker")
    token = either(pcsc, pkcs11)
    assert token.open((FREE, MAKER, PIN)).kind is MAKER
    assert pcsc.done == [["free"], "close"]
    token.close()
    assert pkcs11.done == [["maker"], "close"]


@pytest.mark.parametrize(
    ("by_pcsc", "by_library", "told"),
    [
        ("not-a-piv-card", "card-kind-unknown", "card-kind-unknown"),
        ("card-kind-unknown", "card-kind-unknown", "card-kind-unknown"),
        ("not-a-piv-card", "not-a-piv-card", "not-a-piv-card"),
    ],
)
def test_a_card_that_nobody_knows(by_pcsc: str, by_library: str, told: str) -> None:
    token = either(Way(error=Refused(by_pcsc)), Way(error=Refused(by_library)))
    with pytest.raises(Refused, match=told):
        token.open((FREE, MAKER))


@pytest.mark.parametrize("error", [Refused("card-data-invalid"), Fault("card-mute")])
def test_a_card_that_was_recognised_and_failed_is_not_tried_otherwise(error: SdboxError) -> None:
    pkcs11 = Way("maker")
    with pytest.raises(type(error), match=error.code):
        either(Way(error=error), pkcs11).open((FREE, MAKER))
    assert pkcs11.done == []


def test_everything_else_goes_to_the_one_that_was_taken() -> None:
    token = either(Way(), Way("maker"))
    token.open((FREE, MAKER))
    assert token.sign(PROOF, "9E").signature == b"9E"
    assert token.unwrap("ecdh", b"p") == b"p"
    assert token.compare("96", b"").match
    assert token.verify_pin(None, last=False) == 2


@pytest.mark.parametrize(
    "use",
    [
        lambda token: token.sign(PROOF, "9E"),
        lambda token: token.unwrap("ecdh", b"p"),
        lambda token: token.compare("96", b""),
        lambda token: token.verify_pin(None, last=False),
    ],
)
def test_nothing_is_done_with_a_card_that_was_not_opened(
    use: Callable[[EitherToken], None],
) -> None:
    token = either(Way("free"), Way())
    with pytest.raises(Refused, match="card-removed"):
        use(token)
    token.close()


def test_once_stopped_no_way_is_tried() -> None:
    pcsc, pkcs11 = Way("free"), Way("maker")
    token = either(pcsc, pkcs11)
    token.stop()
    with pytest.raises(Refused, match="card-removed"):
        token.open((FREE, MAKER))
    assert pkcs11.done == []
    token.stop()
    token.close()
    assert pcsc.done == ["stop", "close"]
