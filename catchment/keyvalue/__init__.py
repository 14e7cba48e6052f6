"""Key-value: small values under keys, that many processes read and change. `port` defines the words; one backend a
module beside it."""
