#!/usr/bin/env python3
"""Writes documents straight to `documents`, with confluent-kafka (pip install "confluent-kafka[avro,schema_registry]").

    producer.py KAFKA REGISTRY TOPIC TENANT

    producer.py 127.0.0.1:18092 http://127.0.0.1:18081/apis/ccompat/v7 documents acme

docs/producers.md has the contract. librdkafka's own partitioner is another one (CRC32): without the setting below most records of
`documents` become dead letters. Topics that ingest reads, like `inbox`, take any partitioner.
"""

import json
import pathlib
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

FLUSH_SECONDS_MAX = 30
VECTORS = json.loads((pathlib.Path(__file__).parent / "partitioner-vectors.json").read_text("utf-8"))["vectors"]


def main(kafka: str, registry: str, topic: str, tenant: str) -> None:
    client = SchemaRegistryClient({"url": registry})
    # The schema that the platform has registered, never one of ours.
    settings = {"auto.register.schemas": False, "use.latest.version": True}
    serializer = AvroSerializer(client, conf=settings)
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "zstd",
        }
    )
    partitions = len(producer.list_topics(topic, 10).topics[topic].partitions)

    for key, value in documents(tenant):
        producer.produce(
            topic,
            key=key.encode(),
            value=None if value is None else serializer(value, context),
            headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            on_delivery=lambda error, message: told(error, message, partitions),
        )
    if producer.flush(FLUSH_SECONDS_MAX) > 0:
        sys.exit("Kafka did not acknowledge all records")


def documents(tenant: str):
    """The keys of the vectors that begin with the tenant; the last one is written and then deleted."""
    keys = [each["key"] for each in VECTORS if each["key"].startswith(f"{tenant}/")]
    for key in keys:
        yield key, {
            "title": None,
            "text": f"The bittern of Python booms in {key}.",
            "url": None,
            "language": "en",
            "attributes": {"by": "python"},
            "acl": None,
            "cleaning": "",
        }
    yield keys[-1], None


def told(error, message, partitions: int) -> None:
    if error is not None:
        sys.exit(f"{message.key().decode()}: {error}")
    key = message.key().decode()
    hashed = next(each["murmur2"] for each in VECTORS if each["key"] == key)
    if message.partition() != (hashed & 0x7FFFFFFF) % partitions:
        sys.exit(f"{key} lies in partition {message.partition()}: the partitioner is not murmur2")
    print(json.dumps({"key": key, "partition": message.partition(), "offset": message.offset()}))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
