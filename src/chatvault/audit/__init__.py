"""What was done, refused and failed: recorded for ever, shown to auditors."""
