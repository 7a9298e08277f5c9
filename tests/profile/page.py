"""The tables of docs/profiles.md, from the types and the files themselves: `make profiles`."""

import re
from collections.abc import Iterator
from pathlib import Path

from sdbox_agent.profile import load, schema, words

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/profiles.md"
SHIPPED = ROOT / "firmware_profiles"
# What a key means, where its name and what may stand there leave it open.
MEANINGS = {
    "profile": {
        "v": "version of this schema",
        "name": "the file's own name, without `.toml`",
        "model": "for people",
        "revision": "of this profile; goes up with each change that is released",
        "levels": "what a box of this model can prove; the centre decides which it takes",
        "sensor": "a file of `sensors/`",
        "reader.names": "how PC/SC names of this reader begin; no card in another counts",
        "reader.usb": "its ids",
        "reader.interface": "9A and 9D answer on the contact interface only",
        "reader.pad": "it has keys for a PIN",
        "reader.sources": "where names, ids and facts are from",
        "card.kinds": "files of `cards/`, the most demanding first: a card is of the first it fits",
        "card.test_issuers": "takes cards of authorities that issue for tests: the rig's alone",
        "network.wireguard": "what carries the tunnel",
        "board.dmi": "maker and product as SMBIOS has them, compared whole",
        "board.device_tree": "`compatible` names, for machines without SMBIOS",
        "board.sources": "where these are from",
        "clock.battery": "the machine knows the time when it starts without a network",
        "tpm.version": "the chip that could hold the box's key",
        "panel.screen": "people at the box look at a screen of its own",
        "usb.allow": "further ids that belong to the box, beyond reader, sensor and hubs",
    },
    "sensor": {
        "v": "version of this schema",
        "name": "the file's own name, without `.toml`",
        "model": "for people",
        "driver": "what the sensor that is there must be driven by",
        "usb": "its ids; each needs its line in `udev/70-sdbox.rules`",
        "ppmm": "resolution, points a millimetre; while not known, no box can use the sensor",
        "min_width_px": "of the images it gives; others are a fault",
        "max_width_px": "",
        "min_height_px": "",
        "max_height_px": "",
        "min_minutiae": "of a touch worth comparing, where the sensor asks for more than others",
        "enrols": "its images may become references",
        "quirks": "what to know of it",
        "sources": "where ids and facts are from",
    },
    "kind of card": {
        "v": "version of this schema",
        "name": "the file's own name, without `.toml`",
        "model": "for people",
        "access": "over PC/SC, or by its maker's PKCS#11 library",
        "aid": "name of the application",
        "atr": "what the answer to reset begins with",
        "algorithms": "of its keys, as the box takes them",
        "proof_key": "what proves that the card is here, before any prompt",
        "pin_policy": "what 9A and 9D ask for at `host-match`",
        "pad": "the PIN goes in at the reader's own keys, where it has some",
        "comparison": "who compares the finger",
        "verify": "how a probe is wrapped for the card",
        "module": "the maker's library; only with `pkcs11`",
        "token_serial": "one token of that library; only with `pkcs11`",
    },
}
KINDS = {"profile": schema.Profile, "sensor": schema.Sensor, "kind of card": schema.Kind}


def table(what: str) -> Iterator[str]:
    """Every key of one sort of file."""
    yield "| key | what may stand there | left out | meaning |"
    yield "|---|---|---|---|"
    for row in words.rows(KINDS[what]):
        name = ".".join(row.keys)
        default = row.default if row.default in {"required", "not known"} else f"`{row.default}`"
        yield f"| `{name}` | {row.allowed} | {default} | {MEANINGS[what][name]} |"


def shipped() -> Iterator[str]:
    """What the program comes with."""
    yield "| profile | reader | PIN pad | sensor | resolution |"
    yield "|---|---|---|---|---|"
    for name in load.names([SHIPPED]):
        profile = load.load_profile(name, [SHIPPED])
        sensor = load.find_sensor(profile, [SHIPPED])
        ids = ", ".join(profile.reader.usb) or "no id"
        pad = {True: "yes", False: "no", None: "not known"}[profile.reader.pad]
        fine = f"{sensor.kind.dpi:.0f} dpi" if sensor.ppmm else "**not known: no box can use it**"
        seen = ", ".join(sensor.usb) or "no id"
        yield f"| `{name}` | {ids} | {pad} | {sensor.model} ({seen}) | {fine} |"


def written(page: str) -> str:
    """`page` with its tables drawn anew."""
    tables = {what: "\n".join(table(what)) for what in KINDS} | {"shipped": "\n".join(shipped())}
    for what, text in tables.items():
        pattern = rf"(<!-- {what}: make profiles -->\n).*?(\n<!-- end -->)"
        page, found = re.subn(
            pattern, lambda match, text=text: match[1] + text + match[2], page, flags=re.DOTALL
        )
        assert found == 1, what
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
