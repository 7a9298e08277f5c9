"""`sdbox-agent finger`: gather what each act needs, print what it says [door].

For staff at a desk and for developers. On a box they refuse: there no file ever holds a finger.
What they print names no place of a minutia unless `--explain` asks for it.
"""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from sdbox_agent import hardening
from sdbox_agent.biometrics import fmr, oncard
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.comparison import compare as score_of
from sdbox_agent.biometrics.comparison import explain, prepare
from sdbox_agent.biometrics.minutia import PPI, Minutia, Template
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import AskAgain, DecodeError, Refused
from sdbox_agent.fingertool import det, files, pairing, picture, protocol, report, text
from sdbox_agent.paths import Paths
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sdbox_agent.biometrics.comparison import Explanation, Prepared
    from sdbox_agent.fingertool.pairing import Pairing
    from sdbox_agent.fingertool.protocol import Sample, Trial

    Say = Callable[[str], None]

SUFFIXES: Final = frozenset(files.IMAGES + files.RECORDS)
# A card of ordinary memory: SP 800-73pt1-5 leaves the number to it; the cards in cards/ take 60.
CARD: Final = Bit(key="96", position=0, minimum=12, maximum=60, order=0)
_POOR: Final = frozenset({"finger-poor", "centre-finger", "press-harder"})


def act(options: argparse.Namespace, say: Say) -> int:
    """One of the acts; the exit code. Raises SdboxError."""
    if files.is_box(Paths(options.root)):
        raise Refused("not-on-a-box")
    hardening.close_memory()  # a finger in a core dump would outlive us
    return ACTS[options.act](options, say)


def extract(options: argparse.Namespace, say: Say) -> int:
    """A record of one image's minutiae, where --output says; what it holds."""
    finger = files.read(options.image, options.dpi)
    seen = report.extracted(finger.template, finger.image)
    if options.output:
        files.write(options.output, _record(options.image, finger), replace=options.force)
    if options.json:
        say(msgspec.json.encode(seen).decode())
    else:
        say("\n".join(text.extracted(seen, options.language)))
        if options.output:
            say(text.written(options.output, options.language))
    return 0


def compare(options: argparse.Namespace, say: Say) -> int:
    """The score of two files, and what it was made of."""
    reference = files.read(options.reference, options.dpi)
    probe = files.read(options.probe, options.dpi)
    a, b = prepare(probe.template), prepare(reference.template)
    found = explain(a, b)
    pairs = pairing.pairing(a, b, found)
    if options.picture:
        names = options.probe.name, options.reference.name
        caption = text.caption(found, pairs, names, options.language)
        drawn = picture.draw((a, probe.image), (b, reference.image), pairs, caption)
        files.write(options.picture, drawn, replace=options.force)
    if options.json:
        say(msgspec.json.encode(_compared(found, pairs, explained=options.explain)).decode())
        return 0
    say("\n".join(text.decisions(found.score, options.language)))
    if options.explain:
        say("\n".join(text.explanation(found, pairs, options.language)))
    if options.picture:
        say(text.written(options.picture, options.language))
    return 0


def evaluate(options: argparse.Namespace, say: Say) -> int:
    """The FVC protocol over each folder, and over all of them at one threshold."""
    if options.output:
        files.folder(options.output, replace=options.force)
    took_s: dict[str, list[float]] = {"extract": [], "prepare": []}
    trials = [_trial(path, options, took_s) for path in options.folder]
    found = [protocol.summary(trial.name, [trial]) for trial in trials]
    if len(trials) > 1:
        found.append(protocol.summary(protocol.POOLED, trials))
    took_ms = {step: 1000 * float(np.median(all_s)) for step, all_s in took_s.items() if all_s}
    if found[-1].compare_ms is not None:
        took_ms["compare"] = found[-1].compare_ms
    lines = [line for one in found for line in text.summary(one, options.language)]
    if took_ms:
        lines.append(text.times(took_ms, options.language))
    if options.on_card:
        lines.append(text.on_card(options.language))
    document = msgspec.json.encode(
        {"sets": found, "median_ms": took_ms, "on_card": options.on_card}
    )
    say(document.decode() if options.json else "\n".join(lines))
    if options.output:
        _keep(options, trials, document, "\n".join(lines) + "\n")
        if not options.json:
            say(text.written(options.output, options.language))
    return 0


def _record(path: Path, finger: files.Finger) -> bytes:
    if finger.image is None:
        raise FileRefused("finger-file-invalid", str(path), 0, "is a record already")
    height, width = (side * PPI / finger.image.dpi for side in finger.image.pixels.shape)
    kept = Template(_best(finger.template.minutiae), _best(finger.template.second))
    return iso.encode(iso.record_of({0: [kept]}, width, height))


def _best(minutiae: tuple[Minutia, ...]) -> tuple[Minutia, ...]:
    return tuple(sorted(minutiae, key=lambda m: -m.quality)[: fmr.MAX_MINUTIAE])


def _compared(found: Explanation, pairs: Pairing | None, *, explained: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "score": found.score,
        "matches": {name: found.score >= at for name, at in protocol.thresholds().items()},
    }
    if explained:
        document |= {"similarity": found.similarity, "share": found.share}
        document["pairs"] = pairs.pairs if pairs else ()
    return document


# -- the protocol ----------------------------------------------------------------------------------


def _trial(folder: Path, options: argparse.Namespace, took_s: dict[str, list[float]]) -> Trial:
    samples = [_sample(path, options, took_s) for path in _named(folder)]
    try:
        return protocol.run(
            folder.name or str(folder), samples, score_of, time.process_time,
            first_only=options.impostor == "fvc",
        )  # fmt: skip
    except DecodeError as error:
        raise _unfit(folder, str(error)) from None


def _named(folder: Path) -> Sequence[Path]:
    """The folder's fingers in order; anything of another kind is passed over, a wrong name not."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise _unfit(folder, error.strerror or "can't be read") from None
    places: dict[tuple[int, int], Path] = {}
    for path in sorted(found):
        try:
            place = protocol.numbers(path.stem)
        except DecodeError as error:
            raise _unfit(path, str(error)) from None
        if place in places:
            raise _unfit(path, f"{places[place].name} is the same impression")
        places[place] = path
    return [path for _, path in sorted(places.items())]


def _sample(path: Path, options: argparse.Namespace, took_s: dict[str, list[float]]) -> Sample:
    finger, impression = protocol.numbers(path.stem)
    prepared: Prepared | None = None
    try:
        start_s = time.process_time()
        template = files.read(path, options.dpi).template
        took_s["extract"].append(time.process_time() - start_s)
        if options.on_card:
            template = oncard.template(oncard.probe(template, CARD))
        start_s = time.process_time()
        prepared = prepare(template)
        took_s["prepare"].append(time.process_time() - start_s)
    except AskAgain as error:
        if error.code not in _POOR:
            raise
    return protocol.Sample(path.stem, finger, impression, prepared)


def _keep(
    options: argparse.Namespace, trials: Sequence[Trial], document: bytes, lines: str
) -> None:
    """The report's files; without Pillow the last, the plot, is missing."""
    name = protocol.POOLED if len(trials) > 1 else trials[0].name
    curves = [(text.set_name(name, options.language), protocol.scores(trials))]
    if len(trials) > 1:
        curves += [(trial.name, protocol.scores([trial])) for trial in trials]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(_rows(trials))
    for called, data in (
        ("report.json", document),
        ("report.txt", lines.encode()),
        ("scores.csv", table.getvalue().encode()),
    ):
        files.write(options.output / called, data, replace=options.force)
    title = text.det_words(name, options.language)
    drawn = det.draw(curves, protocol.thresholds(), title)
    files.write(options.output / "det.png", drawn, replace=options.force)


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[str, ...]]:
    yield ("set", "a", "b", "genuine", "score")
    for trial in trials:
        for row in trial.rows:
            score = f"{row.score:.9g}"
            yield (trial.name, row.a.name, row.b.name, str(int(row.genuine)), score)


def _unfit(path: Path, reason: str) -> FileRefused:
    return FileRefused("finger-set-invalid", str(path), 0, reason)


ACTS: Final = {"extract": extract, "compare": compare, "evaluate": evaluate}
