"""MongoDB: connections, transactions, leases, and the embedded mongod."""
