"""Legal holds: auditors place and lift them."""
