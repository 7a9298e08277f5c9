"""The keys that make this box this box."""
