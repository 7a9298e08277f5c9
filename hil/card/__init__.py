"""A virtual PIV card, written from the standard. Shares no code with the card client.

A card is what survives in a pocket: keys, certificates, PIN counter. Its life in a reader is an
insertion, and what goes wrong in it is declared beforehand:

    card = PivCard.create(algorithms={"9A": "P-256", "9D": "RSA-2048"}, pin_policy="never")
    card.install({"9A": der, ...})          # issued by the caller for card.public_keys()
    slot = pcscd.reader(0)                  # hil.pcscd
    insertion = slot.insert(card, faults=[TearAt(7)])
    slot.remove()                           # insertion.log, insertion.removed_at_ns

Layers, each knowing only those above it: tlv, apdu | keys, objects, pin, memory | applet (PIV) |
chip (ISO/IEC 7816-4) | card | faults | slot (vpcd). Source: NIST SP 800-73-5 parts 1 and 2, read in
NIST's own text of the series (usnistgov/piv-standards), and ISO/IEC 7816-4.
"""
