"""Sessions: documents in MongoDB, each identified by one cookie."""
