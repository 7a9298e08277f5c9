"""What the oracle saw over a whole run of tests, workers and all: a line, and build/frames.json."""

import json
from pathlib import Path

from hil.net.oracle import RUN, Tally

OUT = Path(__file__).parents[1] / "build/frames.json"


def told() -> dict[str, object]:
    """This process's, as a worker hands it on."""
    return {
        "frames_seen": RUN.frames_seen,
        "leaked_frames": RUN.leaked_frames,
        "kinds": dict(RUN.kinds),
    }


def add(tally: Tally, frames_seen: int, leaked_frames: int, kinds: dict[str, int]) -> None:
    """What a worker told."""
    tally.frames_seen += frames_seen
    tally.leaked_frames += leaked_frames
    tally.kinds.update(kinds)


def save(out: Path = OUT) -> str:
    """Write it down; one line for people."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(told(), indent=2) + "\n")
    return f"frames_seen {RUN.frames_seen}, leaked_frames {RUN.leaked_frames}"
