"""The log: topics of ordered, durable records. `port` defines the words; one backend a module or package beside it."""
