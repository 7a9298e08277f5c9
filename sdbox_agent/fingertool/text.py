"""What `sdbox-agent finger` prints and writes on its pictures, in French or English. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sdbox_agent import errors
from sdbox_agent.biometrics.minutia import MM_PER_PX
from sdbox_agent.biometrics.parameters import SIMILARITY_POWER
from sdbox_agent.fingertool import det, picture, protocol
from sdbox_agent.screen import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdbox_agent.biometrics.comparison import Explanation
    from sdbox_agent.fingertool.pairing import Pair, Pairing
    from sdbox_agent.fingertool.protocol import Rate, Summary
    from sdbox_agent.fingertool.report import Extracted

    Place = tuple[float, float]

WEAK_SHARE: Final = 0.35  # of the minutiae in common: fewer meet by chance
SMALL_COMMON: Final = 14.0  # minutiae, by worth: too few to say more than chance does


def extracted(seen: Extracted, language: str) -> Iterator[str]:
    """What an image or a record holds, and what a person would be told of it."""

    def line(name: str, value: object) -> str:
        return f"{_w(name, language)}: {value}"

    yield line("minutiae", seen.minutiae)
    yield "    " + line("endings", seen.endings)
    yield "    " + line("bifurcations", seen.bifurcations)
    yield line("area", f"{seen.area_mm2:.0f} mm²")
    if seen.certainty is not None:
        yield line("certainty", f"{seen.certainty:.0f} / 100")
    yield line("quality", f"{seen.quality} / 100")
    for name, code in (("as-probe", seen.probe_code), ("as-reference", seen.reference_code)):
        told = errors.render(code, language) if code else _w("good-enough", language)
        yield line(name, told)


def decisions(score: float, language: str) -> Iterator[str]:
    """The score, and what every threshold of the product makes of it."""
    yield f"{_w('score', language)}: {score:.4f}"
    for name, threshold in protocol.thresholds().items():
        said = _w("match" if score >= threshold else "no-match", language)
        yield f"{said}  ({_w('threshold', language)} {name}: {threshold:g})"
    yield _w("decided-by", language)


def explanation(found: Explanation, pairs: Pairing | None, language: str) -> Iterator[str]:
    """What the score is made of, why it is what it is, and every pair."""
    if found.met is None or pairs is None:
        yield _w(_why(found), language)
        return
    product = f"(⁴√{found.similarity:.4f}) · {found.share:.4f} = {_own(found):.4f}"
    yield f"{_w('made-of', language)} = {product}"
    if found.second is not None:
        yield f"{_w('second', language)}: {found.second:.4f}"
    yield f"{_w('surroundings', language)}: {found.similarity:.3f}"
    counts = f"{found.met.probe_overlap:.1f} / {found.met.reference_overlap:.1f}"
    yield f"{_w('share', language)}: {found.share:.3f}"
    met = f"{len(pairs.pairs)} ({_w('weight', language)} {found.met.paired:.1f})"
    yield f"    {_w('met', language)}: {met}, {_w('overlap', language)}: {counts}"
    x_mm, y_mm = (MM_PER_PX * shift for shift in pairs.shift_px)
    turned = f"{math.degrees(pairs.angle_rad):+.1f}°"
    yield f"{_w('laid', language)}: {turned}, {x_mm:+.1f} {y_mm:+.1f} mm"
    yield _w(_why(found), language)
    yield from _table(pairs, language)


def _own(found: Explanation) -> float:
    """The score by the extractor whose minutiae are shown."""
    return float(found.similarity**SIMILARITY_POWER * found.share)


def _why(found: Explanation) -> str:
    threshold = min(protocol.thresholds().values())
    if found.score >= threshold:
        return "why-same" if _own(found) >= threshold else "why-other"
    if found.met is None:
        return "nothing"
    if min(found.met.probe_overlap, found.met.reference_overlap) < SMALL_COMMON:
        return "why-small"
    return "why-few" if found.share < WEAK_SHARE else "why-around"


def _table(pairs: Pairing, language: str) -> Iterator[str]:
    names = [_w(name, language) for name in ("row", "probe", "place", "reference", "place")]
    names += [_w(name, language) for name in ("turn", "apart", "weight")]
    units = ("", "", "mm", "", "mm", "°", "mm", "")
    heads = [f"{name} {unit}".strip() for name, unit in zip(names, units, strict=True)]
    rows = [_row(number, pair) for number, pair in enumerate(pairs.pairs, 1)]
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    for row in (heads, *rows):
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _row(number: int, pair: Pair) -> list[str]:
    return [
        str(number),
        str(pair.probe),
        _mm(pair.probe_px),
        str(pair.reference),
        _mm(pair.reference_px),
        f"{math.degrees(pair.turn_rad):+.1f}",
        f"{pair.apart_px * MM_PER_PX:.2f}",
        f"{pair.weight:.2f}",
    ]


def _mm(place_px: Place) -> str:
    return f"{place_px[0] * MM_PER_PX:6.2f} {place_px[1] * MM_PER_PX:6.2f}"


def caption(
    found: Explanation, pairs: Pairing | None, names: tuple[str, str], language: str
) -> picture.Caption:
    """The words of a picture; `names` of the two files."""
    threshold = min(protocol.thresholds().values())
    matches = found.score >= threshold
    because = _w(_why(found), language)
    if found.met is not None and pairs is not None:
        common = round(min(found.met.probe_overlap, found.met.reference_overlap))
        because = (
            f"{_w('met', language)}: {len(pairs.pairs)} · {_w('overlap', language)}: {common} · "
            f"{_w('score', language)}: {found.score:.3f} · "
            f"{_w('threshold', language)}: {threshold:g}"
        )
    return picture.Caption(
        verdict=f"{_w('match' if matches else 'no-match', language)}. {_w(_why(found), language)}",
        matches=matches,
        because=because,
        left=f"{_w('probe', language)}: {names[0]}",
        right=f"{_w('reference', language)}: {names[1]}",
        paired=_w("paired", language),
        alone=_w("alone", language),
        common=_w("common", language),
        tick=_w("tick", language),
    )


# -- the protocol ----------------------------------------------------------------------------------


def summary(one: Summary, language: str) -> Iterator[str]:
    """The figures of one set."""
    yield f"== {set_name(one.name, language)}"
    counts = (
        ("fingers", one.fingers),
        ("impressions", one.impressions),
        ("not-enrolled", one.not_enrolled),
        ("genuine", one.genuine),
        ("impostor", one.impostor),
    )
    yield ", ".join(f"{_w(name, language)}: {value}" for name, value in counts)
    yield f"{'':<10}{_w('rate', language):>9}  {_w('interval', language)}"
    yield _rate(_w("eer", language), one.eer)
    for name, rate in one.fnmr_at.items():
        few = one.impostor * protocol.AT[name] < 1 and name != "ZeroFMR"
        yield _rate(name, rate) + (f"  ({_w('is-zero', language)})" if few else "")
    for name, at in one.thresholds.items():
        yield f"{_w('threshold', language)} {name} ({at.threshold:g})"
        counted = f"{at.false_matches} {_w('of', language)} {one.impostor}"
        yield _rate("FMR", at.fmr) + f"  {_w('false-matches', language)}: {counted}"
        if not at.false_matches:
            yield f"{'':<10}≤ {100 * one.fmr_bound:.2g} % {_w('bound', language)}"
        counted = f"{at.false_non_matches} {_w('of', language)} {one.genuine}"
        yield _rate("FNMR", at.fnmr) + f"  {_w('false-non-matches', language)}: {counted}"


def set_name(name: str, language: str) -> str:
    """A set's own; of several together, what people call that."""
    return _w("pooled", language) if name == protocol.POOLED else name


def _rate(name: str, rate: Rate) -> str:
    low, high = 100 * rate.low, 100 * rate.high
    return f"{name:<10}{100 * rate.rate:>7.2f} %  {low:.2f} .. {high:.2f}"


def times(took_ms: Mapping[str, float], language: str) -> str:
    """What the steps took, each the median of its kind."""
    names = {"extract": "time-extract", "prepare": "time-prepare", "compare": "time-compare"}
    told = (f"{_w(names[step], language)} {ms:.2f} ms" for step, ms in took_ms.items())
    return f"{_w('time', language)}: {', '.join(told)}"


def det_words(name: str, language: str) -> det.Words:
    """The words of a plot."""
    return det.Words(
        title=f"{_w('det-title', language)}: {set_name(name, language)}",
        fmr=_w("fmr", language),
        fnmr=_w("fnmr", language),
        too_few=_w("too-few", language),
        eer=_w("eer", language),
    )


def on_card(language: str) -> str:
    """What a trial in the compact format is, and is not."""
    return _w("on-card", language)


def written(path: object, language: str) -> str:
    """Where the result is."""
    return f"{_w('written', language)}: {path}"


def _w(name: str, language: str) -> str:
    return words("finger", name, language)
