"""The proof of the audit log: blocks, verification, retention."""
