"""The finger process: one transaction, then dead. The only place where minutiae are in the clear.

At host-match it opens the sealed reference with the card worker's help, scans and compares; at
card-match it scans, and the card compares. It answers match or not: no score, no image, no minutia
leaves, but for the compact probe on its way to the card worker. Python can't wipe memory, so the
process ends with the transaction: after a match, on `cancel`, when the core goes away, and on any
error but one the person can mend by another touch.
"""
