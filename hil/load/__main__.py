"""How a centre bears many boxes: `python -m hil.load [--boxes N …] [--out FILE]`; needs root.

Each step is so many boxes' Monday morning at a fresh centre (one API process, the gateway with real
WireGuard peers on one interface, PostgreSQL or, with --sqlite, a file): power-up, hello, lists;
card in, hello, proof, attempt, receipt, lease, with real signatures and a TLS identity each. Each
lease is renewed every 30 s from then on, and at last some of the cards are revoked. Writes
build/load.json and load.png; exit status 1 if an aim is missed.

    wall_s                the first call .. the last lease
    sessions_per_s        sessions opened / wall_s
    call_ms               a call as the box has it, TLS handshake and waits included
    failed                boxes without a lease
    refused               calls that gave no answer, by code; a box tries again as a box does
    session_cpu_ms        processor time of each process, of a session that was opened
    renew_ms              a renewal as the box has it
    renewal_cpu_percent   share of one core each process used while leases were renewed
    restarts              of the last step, at its end: each part of the centre restarted while
                          leases are renewed; peers before, and a whole lease later
    outlived_s            of the last step: the last peer, beyond the last lease a card signed for
    revocation_ms         the staff's act .. no such peer at the gateway
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from hil.load import picture, step
from hil.load.figures import figures, missed

STEPS = (100, 300, 500, 1000)
RENEWALS_S = 60.0  # each lease is renewed twice in that time
REVOCATIONS = 50


def main(arguments: list[str] | None = None) -> None:
    """Parse, measure, write."""
    given = _parser().parse_args(arguments)
    rng = random.Random(given.seed)
    steps = {}
    for boxes in given.boxes:
        revocations = min(REVOCATIONS, boxes // 2)
        last = boxes == given.boxes[-1]
        measured = step.run(
            boxes, rng, given.renewals, revocations, restarts=last, sqlite=given.sqlite
        )
        steps[str(boxes)] = row = figures(measured)
        print(f"{boxes} boxes: {json.dumps(row)}", flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(steps, indent=1) + "\n", "utf-8")
    picture.draw(steps).save(given.out.with_suffix(".png"))
    if found := missed(steps):
        raise SystemExit("\n".join(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil.load")
    parser.add_argument("--boxes", type=int, nargs="+", default=STEPS, help="a step each")
    parser.add_argument("--renewals", type=float, default=RENEWALS_S, help="seconds of them")
    parser.add_argument("--sqlite", action="store_true", help="instead of PostgreSQL")
    parser.add_argument("--seed", type=int, default=1, help="who arrives when")
    parser.add_argument("--out", type=Path, default=Path("build/load.json"))
    return parser


if __name__ == "__main__":
    main()
