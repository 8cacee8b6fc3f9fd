"""Write operations, from protobuf to the engine. Each is checked as a whole before anything is written."""

from typing import Any, Callable

import qdrant_edge as edge

from .api import points_pb2
from .convert import payload, point_id, vectors
from .errors import invalid, unsupported
from .filters import optional, optional_filter
from .indexes import field_index
from .queries import selected
from .store import Collection

Update = edge.UpdateOperation

_MODES = {
    points_pb2.UpdateMode.Upsert: None,
    points_pb2.UpdateMode.InsertOnly: edge.UpdateMode.InsertOnly,
    points_pb2.UpdateMode.UpdateOnly: edge.UpdateMode.UpdateOnly,
}


def upsert(message: Any, collection: Collection) -> Update:
    """An UpsertPoints or the upsert of a batch.

    `update_filter` alone writes over a point that matches and inserts one that is missing; with `UpdateOnly` a missing
    point stays missing; `InsertOnly` never writes over one. What is held back is not an error.
    """
    _one_shard(message)
    if not message.points:
        raise invalid("Bad request: Empty update request")
    specs = collection.specs
    points = [
        edge.Point(point_id(point.id), vectors(point.vectors, specs), payload(point.payload))
        for point in message.points
    ]
    return Update.upsert_points(
        points,
        condition=optional_filter(message, "update_filter"),
        update_mode=_MODES[message.update_mode] if message.HasField("update_mode") else None,
    )


def delete_points(message: Any, collection: Collection) -> Update:
    return _selected(message, message.points, Update.delete_points, Update.delete_points_by_filter)


def set_payload(message: Any, collection: Collection) -> Update:
    rest = payload(message.payload), optional(message, "key")
    return _selected(message, message.points_selector, Update.set_payload, Update.set_payload_by_filter, *rest)


def overwrite_payload(message: Any, collection: Collection) -> Update:
    rest = payload(message.payload), optional(message, "key")
    by_ids, by_filter = Update.overwrite_payload, Update.overwrite_payload_by_filter
    return _selected(message, message.points_selector, by_ids, by_filter, *rest)


def delete_payload(message: Any, collection: Collection) -> Update:
    by_ids, by_filter = Update.delete_payload, Update.delete_payload_by_filter
    return _selected(message, message.points_selector, by_ids, by_filter, message.keys[:])


def clear_payload(message: Any, collection: Collection) -> Update:
    return _selected(message, message.points, Update.clear_payload, Update.clear_payload_by_filter)


def update_vectors(message: Any, collection: Collection) -> Update:
    _one_shard(message)
    specs = collection.specs
    points = [edge.PointVectors(point_id(point.id), vectors(point.vectors, specs)) for point in message.points]
    return Update.update_vectors(points, condition=optional_filter(message, "update_filter"))


def delete_vectors(message: Any, collection: Collection) -> Update:
    by_ids, by_filter = Update.delete_vectors, Update.delete_vectors_by_filter
    return _selected(message, message.points_selector, by_ids, by_filter, message.vectors.names[:])


def create_field_index(message: points_pb2.CreateFieldIndexCollection, collection: Collection) -> Update:
    return Update.create_field_index(message.field_name, field_index(message))


def delete_field_index(message: points_pb2.DeleteFieldIndexCollection, collection: Collection) -> Update:
    return Update.delete_field_index(message.field_name)


BATCHED: dict[str, Callable[[Any, Collection], Update]] = {
    "upsert": upsert,
    "delete_points": delete_points,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
}


def batched(message: points_pb2.PointsUpdateOperation, collection: Collection) -> Update:
    kind = message.WhichOneof("operation")
    if kind is None:
        raise invalid("Malformed update operation")
    make = BATCHED.get(kind)
    if make is None:
        raise unsupported(f"the update operation `{kind}`")
    return make(getattr(message, kind), collection)


def _selected(message: Any, selector: Any, by_ids: Any, by_filter: Any, *rest: Any) -> Update:
    _one_shard(message)
    ids, found = selected(selector)
    return by_ids(ids, *rest) if found is None else by_filter(found, *rest)


def _one_shard(message: Any) -> None:
    if message.HasField("shard_key_selector"):
        raise unsupported("a shard key")
