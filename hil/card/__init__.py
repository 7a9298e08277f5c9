"""A virtual PIV card. Shares no code with the card client."""
