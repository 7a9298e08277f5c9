"""The machine's table, drawn from the exploration: state x event -> states, effects.

`python -m tests.session.golden` writes golden.txt and the picture in README.md anew; the tests
compare, so neither can drift from the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sdbox_agent.session import effects as do
from sdbox_agent.session import states as at
from tests.session.explore import Exploration, explore

TABLE = Path(__file__).with_name("golden.txt")
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- the machine's own table: make diagram -->\n", "<!-- end of the table -->\n"
ORDER = [
    "Idle", "Checking", "Proving", "PinEntry", "CodeEntry", "Opening", "Scanning", "Reserving",
    "Comparing", "Choosing", "Signing", "Tunnelling", "Open", "Closing", "Spent", "Broken",
]  # fmt: skip


def table(found: Exploration) -> str:
    """One line a (state, event) that does anything: where it leads, and what is asked for."""
    rows: dict[tuple[int, str], set[str]] = {}
    for state, event, after, effects in found.transitions:
        if after == state and not effects:
            continue
        key = ORDER.index(type(state).__name__), _name(event)
        asked = " ".join(effect_text(effect) for effect in effects)
        rows.setdefault(key, set()).add(f"{type(after).__name__:<11}{asked}".rstrip())
    lines = []
    for (index, event), outcomes in sorted(rows.items()):
        for outcome in sorted(outcomes):
            lines.append(f"{ORDER[index]:<11}{event:<24}{outcome}")
    return "\n".join(lines) + "\n"


def _name(event: object) -> str:
    name = type(event).__name__
    timer = getattr(event, "timer", None)
    return f"{name}({timer})" if timer else name


def effect_text(effect: do.Effect) -> str:
    """An effect in one word, with what tells it from its kin."""
    name = type(effect).__name__
    if isinstance(effect, do.Record):
        return f"{name}({effect.code})"
    if isinstance(effect, do.SetTimer | do.ClearTimer):
        return f"{name}({effect.timer})"
    if isinstance(effect, do.Sign):
        return f"{name}({type(effect.statement).__name__.lower()})"
    return name


def picture(found: Exploration) -> str:
    """The way in, as mermaid: every transition between live states, and the four ends."""
    arrows: dict[tuple[str, str], set[str]] = {}
    live = {state.__name__ for state in at.Live.__args__}
    for state, event, after, _ in found.transitions:
        one, other = type(state).__name__, type(after).__name__
        if one == other or (one in live and other == "Closing"):
            continue
        arrows.setdefault((one, other), set()).add(_name(event))
    lines = ["```mermaid", "stateDiagram-v2"]
    for (one, other), events in sorted(
        arrows.items(), key=lambda item: (ORDER.index(item[0][0]), ORDER.index(item[0][1]))
    ):
        lines.append(f"    {one} --> {other}: {', '.join(sorted(events))}")
    lines.append("    note right of Closing: from every live state, the tunnel first")
    return "\n".join([*lines, "```"]) + "\n"


def replace_picture(readme: str, drawn: str) -> str:
    """The README with its picture drawn anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{drawn}{END}{after}"


if __name__ == "__main__":
    seen = explore()
    TABLE.write_text(table(seen))
    README.write_text(replace_picture(README.read_text(), picture(seen)))
    sys.stdout.write(f"{len(seen.states)} states, {len(seen.transitions)} transitions\n")
