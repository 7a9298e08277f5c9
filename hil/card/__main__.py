"""`python -m hil.card --identity holder-1 --fault tear:7`: one card, in a reader until it is out.

Puts a virtual PIV card into a running pcscd's virtual reader (vsmartcard-vpcd) and prints each APDU
by its header, lengths and status word, never its data. Ends when the card is out: torn by a fault,
pulled by Ctrl-C, or after --seconds. PIN 123456, PUK 12345678.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from hil.card import called, holder, keys
from hil.card.card import DEFAULT_ALGORITHMS
from hil.card.memory import PinPolicy, VerifyForm
from hil.card.namespace import NetworkNamespace
from hil.card.slot import CardError, Slot
from hil.card.vpcd import ReaderGoneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.card.card import PivCard
    from hil.card.insertion import Insertion

VPCD_PORT: Final = 0x8C7B  # vsmartcard 3.3, vpcd.h: VPCDPORT
_LOOK_AGAIN_S: Final = 0.05
_POWERED_WITHIN_S: Final = 2.0  # pcscd looks every 400 ms


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, make, insert, tell; SystemExit with a sentence for what can't be done."""
    given = _parser().parse_args(arguments)
    if given.list_faults:
        print(called.listing())
        return
    try:
        issuer = holder.Issuer.create()
        asked = called.call(given.fault, lambda: _card(given, f"{given.identity}-other", issuer))
        card = asked.altered(_card(given, given.identity, issuer))
        if given.issuer_out:
            given.issuer_out.write_bytes(issuer.pem)
        namespace = NetworkNamespace.open(given.netns) if given.netns else None
    except (ValueError, OSError) as error:
        sys.exit(f"hil.card: {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    slot = Slot(f"vpcd on port {given.port}", given.port, namespace)
    try:
        insertion = slot.insert(card, asked.faults)
    except ReaderGoneError:
        sys.exit(
            f"hil.card: no reader listens on port {given.port}: is pcscd running, with"
            " vsmartcard-vpcd, in this network namespace (--netns)?"
        )
    except ValueError as error:
        sys.exit(f"hil.card: {error}")
    print(f"in: {given.identity}, {card}", flush=True)
    sys.exit(_attend(slot, insertion, given.seconds))


def _attend(slot: Slot, insertion: Insertion, seconds: float | None) -> str | int:
    """Tell what happens until the card is out; the exit status, or what went wrong."""
    end = None if seconds is None else time.monotonic() + seconds
    told = 0
    try:
        if not insertion.powered.wait(_POWERED_WITHIN_S):
            print("not powered yet: is another card in this slot?", flush=True)
        while slot.in_contact and (end is None or time.monotonic() < end):
            insertion.ended.wait(_LOOK_AGAIN_S)
            told = _tell(insertion, told)
    except KeyboardInterrupt:
        pass
    alone = not slot.in_contact and not insertion.ended.is_set()
    try:
        slot.remove()
    except CardError as error:
        return f"hil.card: {error}"
    _tell(insertion, told)
    if alone:
        return "hil.card: the reader is gone"
    print(f"out, after {insertion.apdus} APDUs and {insertion.resets} resets", flush=True)
    return 0


def _tell(insertion: Insertion, told: int) -> int:
    for seen in insertion.log[told:]:
        sw = "-" if seen.sw is None else f"{seen.sw:04X}"
        head = f"{seen.cla:02X} {seen.ins:02X} {seen.p1:02X} {seen.p2:02X}"
        took_ms = seen.took_ns / 1e6
        sizes = f"{seen.command_bytes:4} > {seen.reply_bytes:4}"
        print(f"{seen.n:4}  {head}  {sizes}  {sw:>4}  {took_ms:.1f} ms", flush=True)
        told += 1
    return told


def _card(given: argparse.Namespace, name: str, issuer: holder.Issuer) -> PivCard:
    return holder.card_of(
        name,
        issuer,
        algorithms=given.algorithms,
        pin_policy=given.pin_policy,
        match=given.match or ("raw" if given.finger else None),
        fingers={key: (position, path.read_bytes()) for key, position, path in given.finger},
        match_bound=given.match_bound,
    )


def _algorithms(text: str) -> dict[keys.KeyName, keys.Algorithm]:
    """`RSA-2048` for all three keys, or `9A=P-384,9D=RSA-2048`; the others as always."""
    kinds: dict[str, keys.Algorithm] = {kind: kind for kind in get_args(keys.Algorithm)}
    if text in kinds:
        return dict.fromkeys(DEFAULT_ALGORITHMS, kinds[text])
    names: dict[str, keys.KeyName] = {name: name for name in keys.KEY_NAMES}
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return DEFAULT_ALGORITHMS | {names[name]: kinds[kind] for name, kind in pairs}
    except (KeyError, ValueError):
        wanted = f"KEY=ALGORITHM,.. of {', '.join(names)} and {', '.join(kinds)}"
        raise argparse.ArgumentTypeError(wanted) from None


def _finger(text: str) -> tuple[str, int, Path]:
    try:
        key, position, path = text.split(":", 2)
        return key, int(position), Path(path)
    except ValueError:
        wanted = "KEY:POSITION:FILE, as 96:2:index.bin"
        raise argparse.ArgumentTypeError(wanted) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil.card", description=__doc__)
    add = parser.add_argument
    add("--identity", default="holder-1", metavar="NAME", help="whose: the same name, same GUID")
    add("--fault", action="append", default=[], metavar="FAULT", help="may stand several times")
    add("--list-faults", action="store_true", help="print the names of faults, and end")
    add("--algorithms", type=_algorithms, metavar="LIST", help=_algorithms.__doc__)
    add("--pin-policy", choices=get_args(PinPolicy), default="never", help="of 9A and 9D")
    add("--match", choices=get_args(VerifyForm), help="it compares fingers; how probes are wrapped")
    add(
        "--finger",
        type=_finger,
        action="append",
        default=[],
        metavar="KEY:POSITION:FILE",
        help="the fingers it compares: 3N bytes, compact card format; else one grown from the name",
    )
    add("--match-bound", action="store_true", help="PIN and PUK are blocked")
    add("--issuer-out", type=Path, metavar="FILE", help="write the issuer's certificate, PEM")
    add("--port", type=int, default=VPCD_PORT, help="vpcd's (%(default)s; its second slot: one on)")
    add("--netns", type=Path, metavar="FILE", help="the reader's network namespace; needs root")
    add("--seconds", type=float, metavar="S", help="pull the card after so long")
    return parser


if __name__ == "__main__":
    main()
