#!/usr/bin/env python3
"""Writes records to a topic as others do: confluent-kafka with its own Avro serializer and its own partitioner.

    produce.py --kafka HOST:PORT --registry URL --topic NAME [--schema FILE] [--partitioner NAME]

Reads one JSON object a line: the key as `key` (text) or `key64` (base64), and `value` (a document for the serializer, null
for a tombstone) or `value64` (bytes as they are). Prints for each, in order, where it lies: {"partition": ..., "offset": ...}, or
{"error": ...}. Without --partitioner librdkafka's default is used.
"""

import argparse
import base64
import json
import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

FLUSH_SECONDS_MAX = 30


def main() -> None:
    arguments = _arguments()
    settings = {"bootstrap.servers": arguments.kafka, "linger.ms": 0, "message.max.bytes": 20_000_000}
    if arguments.partitioner:
        settings["partitioner"] = arguments.partitioner
    producer = Producer(settings)
    serializer = None
    if arguments.schema:
        with open(arguments.schema, encoding="utf-8") as schema:
            serializer = AvroSerializer(SchemaRegistryClient({"url": arguments.registry}), schema.read())
    context = SerializationContext(arguments.topic, MessageField.VALUE)

    places: list[dict] = []
    for line in sys.stdin:
        record = json.loads(line)
        place: dict = {}
        places.append(place)
        try:
            producer.produce(
                arguments.topic, key=_key(record), value=_value(record, serializer, context), on_delivery=_told(place)
            )
        except (KafkaException, BufferError) as error:
            place["error"] = str(error)
        producer.poll(0)
    if producer.flush(FLUSH_SECONDS_MAX) > 0:
        sys.exit("Kafka did not acknowledge all records")
    for place in places:
        print(json.dumps(place))


def _key(record: dict) -> bytes | None:
    if "key64" in record:
        return base64.b64decode(record["key64"])
    return None if record.get("key") is None else record["key"].encode()


def _value(record: dict, serializer: AvroSerializer | None, context: SerializationContext) -> bytes | None:
    if "value64" in record:
        return base64.b64decode(record["value64"])
    if record.get("value") is None:
        return None
    return serializer(record["value"], context)


def _told(place: dict):
    def told(error, message) -> None:
        if error is not None:
            place["error"] = str(error)
        else:
            place.update(partition=message.partition(), offset=message.offset())

    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Produces records with librdkafka.")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--schema", help="Avro schema of the documents")
    parser.add_argument("--partitioner", help="librdkafka's name of a partitioner")
    return parser.parse_args()


if __name__ == "__main__":
    main()
