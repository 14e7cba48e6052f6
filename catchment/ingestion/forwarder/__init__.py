"""The forwarder: what an edge has on its own disk goes to topic raw on Kafka.

    settings    section `[forwarder]`
    progress    which offsets of a partition are confirmed, so far without a gap
    loop        the service

A checkpoint (the group `forwarder` of the edge's own log) never passes what the brokers have not confirmed. So a kill
repeats records and loses none; the loader drops the repeats as duplicates.
"""
