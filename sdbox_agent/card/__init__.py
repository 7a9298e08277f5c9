"""Speaking PIV to a card over PC/SC (SP 800-73pt2-5)."""
