"""Effects to sides: which of them does what. No decision here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent import errors
from sdbox_agent.errors import Bug
from sdbox_agent.session import effects as do

if TYPE_CHECKING:
    from sdbox_agent.audit.outbox import Outbox
    from sdbox_agent.daemon.card_side import CardSide
    from sdbox_agent.daemon.centre_side import CentreSide
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.daemon.finger_side import FingerSide
    from sdbox_agent.daemon.greeting import Greeting
    from sdbox_agent.daemon.tunnel_side import TunnelSide


@dataclass(frozen=True, slots=True)
class Performer:
    """The four sides and the audit record."""

    context: Context
    outbox: Outbox
    card: CardSide
    centre: CentreSide
    finger: FingerSide
    tunnel: TunnelSide
    greeting: Greeting

    def perform(self, effect: do.Effect) -> None:  # noqa: C901, PLR0912, PLR0915  a table
        """Do one effect, or raise SdboxError."""
        n = effect.n
        match effect:
            case do.Record():
                self._record(effect)
            case do.OpenCard():
                self.outbox.check_room()  # no log, no access
                self.greeting.hurry()
                self.finger.warm()
                self.card.open(n, effect.insertion)
            case do.SayHello():
                self.centre.hello(n)
            case do.Sign():
                self.card.sign(n, effect.statement)
            case do.SendProof():
                self.centre.send_proof(effect)
            case do.AskPin():
                self.card.ask_pin(n)
            case do.PrepareFinger():
                if effect.sealed is None:
                    self.card.grant_compare(n, effect.comparisons)
                else:
                    self.card.grant_unwrap(n)
                self.finger.prepare(effect)
            case do.ScanFinger():
                self.finger.scan(n)
            case do.ReserveAttempt():
                self.centre.reserve(effect)
            case do.CompareFinger():
                self.finger.compare(n, effect.attempt, effect.key)
            case do.WarmTunnel():
                self.tunnel.warm(n)
            case do.PrepareTunnel():
                self.tunnel.prepare(n)
            case do.SendReceipt():
                self.centre.send_receipt(effect)
            case do.OpenTunnel():
                self.tunnel.open(n, effect.lease, effect.receipt_sha256)
            case do.SendRenewal():
                self.centre.send_renewal(n, effect.jws)
            case do.ExtendLease():
                self.tunnel.extend(n, effect.lease_s)
            case do.TakeTunnelDown():
                self.tunnel.take_down(n)
            case do.EndFinger():
                self.finger.end()
            case do.CloseCard():
                self.card.close(n)
            case do.TellCentre():
                self.centre.tell_end(n, effect.code)
            case _:
                raise Bug("unforeseen")

    def _record(self, effect: do.Record) -> None:
        explained = errors.table().get(effect.code)
        self.outbox.append(
            effect.code,
            result=explained.result if explained else "ok",
            session=self.context.session(effect.n),
            level=effect.level,
            utc_s=self.context.known_utc_s(),
        )
