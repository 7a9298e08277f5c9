"""A virtual PIV card, written from the standard. Shares no code with the card client.

A card is what survives in a pocket: keys, certificates, fingers, counters. Its life in a reader is
an insertion, and what goes wrong in it is declared beforehand:

    card = PivCard.create(algorithms={"9A": "P-256", "9D": "RSA-2048"}, pin_policy="never")
    card.install({"9A": der, ...})          # issued by the caller for card.public_keys()
    slot = pcscd.reader(0)                  # hil.pcscd
    insertion = slot.insert(card, faults=[TearAt(7)])
    slot.remove()                           # insertion.log, insertion.removed_at_ns

By hand, on any pcscd with a virtual reader: `python -m hil.card --help`.

Layers, each knowing only those above it: tlv, apdu | matcher, retries, keys, bits, objects | pin,
finger | memory, status | references, administration | applet (PIV) | chip (ISO/IEC 7816-4) | card |
faults | slot (vpcd) | holder, called | __main__. Source: NIST SP 800-73-5 parts 1 and 2, read in
NIST's own text of the series (usnistgov/piv-standards), and ISO/IEC 7816-4.

What other people's software says of it: tests/hil/card/test_opensc.py and test_yubico.py. None of
it reaches, so that our own tests alone speak for:

- VERIFY 96 and 97 in either form, their counters, and what a match opens: OpenSC 0.23 has no code
  for on-card comparison; Yubico's speaks to 96 in its maker's own way (the sensor is on the key);
- the BIT group (7F61), which OpenSC and Yubico read only as bytes, and storing a finger (24 01 96);
- the bit of on-card comparison in the Discovery object, beyond being accepted;
- the kinds of answer to reset, beyond being taken for a PIV card.
"""
