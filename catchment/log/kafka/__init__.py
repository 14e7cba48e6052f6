"""The log on Apache Kafka, through confluent-kafka (extra `kafka`).

    broker     where the brokers are; makes clients whose promises hold; turns their errors into ours
    topics     makes and grows topics, tells what there is: admin calls
    keys       the key of a message: its document id
    sender     one idempotent producer a process, its thread
    writer     `Writer`: one partition
    reader     `Reader`: one partition from an offset, without a group
    consumer   `Consumer`: a member of a group
    log        `KafkaLog`

What Kafka does not promise of the port, and what follows (docs/kafka.md, decision 0019):

- Two writers of one partition are not kept apart. The owner of `raw/p` in the group `loader` is the one that writes
  the partition `p` of what the loader makes.
- A batch whose writer dies may be there in part: a prefix of it.
- Offsets have no gaps while nobody else writes in transactions, or compacts.
- Retention waits for nobody: `held_by` is not kept.
"""
