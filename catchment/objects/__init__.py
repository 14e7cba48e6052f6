"""Objects: whole files under keys. `port` defines the words; one backend a module beside it."""
