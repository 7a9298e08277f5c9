"""The card's side: what lies in the readers, a card opened and believed, statements signed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent import errors, ipc
from sdbox_agent.daemon.readers import Readers
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.session import events as on
from sdbox_agent.statements import fields, jws

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.cardkind import KeyName
    from sdbox_agent.centre import wire
    from sdbox_agent.daemon.calls import Calls
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.daemon.links import Link
    from sdbox_agent.daemon.received import Received
    from sdbox_agent.daemon.trust import Trust
    from sdbox_agent.identity.keys import BoxIdentity

_SIGNED: Final[dict[str, type[on.ProofSigned | on.ReceiptSigned | on.RenewalSigned]]] = {
    "proof": on.ProofSigned,
    "receipt": on.ReceiptSigned,
    "renew": on.RenewalSigned,
}


class CardSide:
    """Speaks to the card worker, and asks the centre for revocation lists meanwhile."""

    link: Link[ipc.FromCard]
    looked: Callable[[], None] = staticmethod(lambda: None)  # told at each look at the readers

    def __init__(
        self,
        context: Context,
        calls: Calls,
        trust: Trust,
        identity: BoxIdentity,
        received: Received,
        takes: Callable[[str], bool],
    ) -> None:
        """`takes`: whether a reader, by its PC/SC name, is one of this box's."""
        self._takes = takes
        self._received = received
        self._context = context
        self._calls = calls
        self._trust = trust
        self._identity = identity
        self._readers = Readers()
        self._opened: ipc.Opened | None = None  # read, and waiting for the lists
        self._reading: int | None = None  # session whose card is being read
        self._lists_asked: int | None = None  # session whose lists are on their way
        self._no_lists: str | None = None  # why the newest ones did not come
        self._card: on.Card | None = None  # accepted in this session
        self._shown: ipc.Opened | None = None  # as it was accepted
        self.readers = 0
        self._asked: fields.Statement | None = None

    def open(self, n: int, insertion: int) -> None:
        """Read the card while the newest revocation lists are fetched."""
        self._opened, self._reading, self._lists_asked = None, n, n
        number = self._readers.number(insertion)
        self.link.send(ipc.OpenCard(n=n, insertion=number, kinds=self._trust.kinds))
        guard = self._context.guard
        have = self._trust.lists()
        self._calls.ask(
            lambda client: client.crls(have),
            lambda answer: guard(n, lambda: self._lists_came(n, answer)),
            lambda code: guard(n, lambda: self._lists_came(n, None, code)),  # those at hand may do
        )

    def _lists_came(
        self, n: int, answer: wire.CrlsAnswer | None, why_not: str | None = None
    ) -> None:
        if answer is not None:
            self._received.lists(n, answer)
            self._trust.take(answer.crls, self._context.utc_s())
        if self._lists_asked == n:
            self._lists_asked, self._no_lists = None, why_not
            self._check()

    def _check(self) -> None:
        opened = self._opened
        if opened is not None and self._lists_asked is None:
            self._opened = None
            try:
                self._card = self._trust.check(opened, self._context.utc_s())
            except Fault as fault:
                if fault.code == "crl-stale" and self._no_lists is not None:
                    raise errors.error(self._no_lists) from None  # the cause, not what follows
                raise
            self._shown = opened
            self._context.feed(on.CardAccepted(opened.n, self._card))

    def refresh_lists(self) -> None:
        """The centre has other lists: take them now, and judge the card that is in by them."""
        have = self._trust.lists()
        self._calls.ask(lambda client: client.crls(have), self._refreshed, lambda _: None)

    def _refreshed(self, answer: wire.CrlsAnswer) -> None:
        """A card that is good no more ends its session; lists that are no good end nothing."""
        with contextlib.suppress(Fault):
            self._trust.take(answer.crls, self._context.utc_s())
        self._judge_again()
        with contextlib.suppress(SdboxError):  # a disk that refuses is told by the next session
            self._received.lists(None, answer)

    def _judge_again(self) -> None:
        if self._shown is None:
            return
        try:
            self._trust.check(self._shown, self._context.utc_s())
        except Refused as refused:
            self._context.feed(on.Failed(self._shown.n, refused.code))
        except Fault:
            pass  # the list at hand has run out meanwhile: the centre judges each renewal

    def sign(self, n: int, statement: fields.Statement) -> None:
        """Have the card sign; the worker builds the bytes from the fields by itself."""
        self._asked = statement
        typ = fields.typ_of(statement)
        raw = msgspec.Raw(fields.encode(statement))
        self.link.send(ipc.Statement(n=n, typ=typ, fields=raw, key=self._key_of(typ)))

    def _key_of(self, typ: str) -> KeyName:
        assert self._card is not None
        return self._card.kind.proof_key if typ == "proof" else "9A"

    def _signed(self, message: ipc.Signed) -> None:
        """What the card signed must be what was asked. A receipt needs the box's hand too."""
        asked, self._asked = self._asked, None
        if asked is None or message.payload != fields.encode(asked):
            raise Fault("card-failed")
        parts = [(message.protected, message.signature)]
        self._genuine(fields.typ_of(asked), jws.assemble(message.payload, parts))
        if isinstance(asked, fields.Receipt):
            protected = jws.header("receipt", self._identity.statement_certificate_der)
            signature = self._identity.sign_statement(message.payload, protected)
            parts.append((protected, signature))
        signed = _SIGNED[fields.typ_of(asked)]
        self._context.feed(signed(message.n, jws.assemble(message.payload, parts)))

    def _genuine(self, typ: str, statement: bytes) -> None:
        """The card must hold the keys of the certificates it showed: a copy does not."""
        assert self._card is not None
        certificate = self._card.card_auth if self._key_of(typ) == "9E" else self._card.auth
        try:
            jws.open_statement(typ, statement, [certificate])
        except Refused:
            raise Refused("card-not-genuine") from None

    def grant_unwrap(self, n: int) -> None:
        """The finger process may have one key opened in session `n`."""
        self.link.send(ipc.GrantUnwrap(n=n))

    def grant_compare(self, n: int, comparisons: int) -> None:
        """The finger process may have the card compare in session `n`."""
        self.link.send(ipc.GrantCompare(n=n, comparisons=comparisons))

    def ask_pin(self, n: int) -> None:
        """A PIN may be given: it goes to the card worker, and never comes here."""
        self.link.send(ipc.GrantPin(n=n))

    def close(self, n: int) -> None:
        """Reset the card and let go of it."""
        self._opened = self._reading = self._lists_asked = self._asked = None
        self._card = self._shown = None
        self.link.send(ipc.CloseCard(n=n))

    def _moved(self, message: ipc.Inserted | ipc.Removed | ipc.ReadersChanged) -> None:
        """Another's reader is none, and what lies in it no card."""
        if isinstance(message, ipc.ReadersChanged):
            ours = tuple(filter(self._takes, message.readers))
            message, self.readers = msgspec.structs.replace(message, readers=ours), len(ours)
        match message:
            case ipc.Inserted() if not self._takes(message.reader):
                pass
            case ipc.Inserted():
                insertion = self._readers.inserted(message.reader, message.insertion)
                if insertion is not None:
                    self._context.feed(on.CardInserted(insertion))
            case ipc.Removed():
                self._removed(self._readers.removed(message.insertion))
            case ipc.ReadersChanged(readers=[_, *_]):  # after every card in them
                for insertion in self._readers.looked():
                    self._removed(insertion)
                self.looked()
            case ipc.ReadersChanged():
                pass

    def _removed(self, insertion: int | None) -> None:
        if insertion is not None:
            self._context.feed(on.CardRemoved(insertion))

    def connected(self) -> None:
        """A card worker is there: have it report what lies in the readers."""
        self.link.send(ipc.Watch())

    def lost(self) -> None:
        """The card worker died; the cards are where they are."""
        self.readers = 0
        self._readers.worker_died()
        self._context.lost("card-worker-died")

    def heard(self, message: ipc.FromCard) -> None:
        """A message of the worker."""
        self._context.guard(message.n, lambda: self._heard(message))

    def _heard(self, message: ipc.FromCard) -> None:
        match message:
            case ipc.Inserted() | ipc.Removed() | ipc.ReadersChanged():
                self._moved(message)
            case ipc.Opened():
                if message.n == self._reading:
                    self._opened, self._reading = message, None
                    self._check()
            case ipc.Signed():
                if message.n == self._context.n:
                    self._signed(message)
            case ipc.PinEntered():
                self._context.feed(on.PinEntered(message.n))
            case ipc.PinRefused():
                self._context.feed(on.PinRefused(message.n, message.left))
            case ipc.Failed():
                self._context.feed(on.Failed(message.n, message.code))
            case ipc.CardClosed():
                pass
