"""Ids, payload values and vectors between protobuf and the engine. The hot path: every point goes through here."""

import math
import uuid
from array import array
from typing import Any, Union

import qdrant_edge as edge

from .api import json_with_int_pb2, points_pb2
from .errors import CallError, Status, invalid

PointId = Union[int, uuid.UUID]


def point_id(message: Any) -> PointId:
    """Raises INVALID_ARGUMENT for an id that is neither a number nor a UUID."""
    kind = message.WhichOneof("point_id_options")
    if kind == "uuid":
        try:
            return uuid.UUID(message.uuid)
        except ValueError:
            raise invalid(f"Unable to parse UUID: {message.uuid}") from None
    if kind == "num":
        return message.num
    raise invalid("Empty ID is not allowed")


def write_id(value: PointId, into: Any) -> None:
    if isinstance(value, int):
        into.num = value
    else:
        into.uuid = str(value)


def payload(fields: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in fields.items()}


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "integer_value":
        return message.integer_value
    if kind == "double_value":
        if not math.isfinite(message.double_value):
            raise invalid("Wrong input: a payload holds NaN or an infinite number")
        return message.double_value
    if kind == "bool_value":
        return message.bool_value
    if kind == "struct_value":
        return payload(message.struct_value.fields)
    if kind == "list_value":
        return [_value(item) for item in message.list_value.values]
    return None


def write_payload(values: dict[str, Any], into: Any) -> None:
    for name, value in values.items():
        _write_value(value, into[name])


def _write_value(value: Any, into: Any) -> None:
    if isinstance(value, str):
        into.string_value = value
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        if value >= 1 << 63:
            into.double_value = value  # the API has no unsigned integers; the server does the same
        else:
            into.integer_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, dict):
        into.struct_value.SetInParent()
        write_payload(value, into.struct_value.fields)
    elif isinstance(value, list):
        into.list_value.SetInParent()
        for item in value:
            _write_value(item, into.list_value.values.add())
    else:
        into.null_value = json_with_int_pb2.NULL_VALUE


class VectorSpec:
    """What a collection's configuration says of one named vector."""

    __slots__ = ("multi", "size")

    def __init__(self, size: int | None, multi: bool = False) -> None:
        self.size = size  # None: sparse
        self.multi = multi


Specs = dict[str, VectorSpec]


def vectors(message: Any, specs: Specs) -> Any:
    """The vectors of a point, checked against the collection, so that a refused request has written nothing."""
    kind = message.WhichOneof("vectors_options")
    if kind == "vectors":
        return {name: _checked(name, vector, specs) for name, vector in message.vectors.vectors.items()}
    if kind == "vector":
        return _checked("", message.vector, specs)
    return {}


def _checked(name: str, message: Any, specs: Specs) -> Any:
    spec = specs.get(name)
    if spec is None:
        raise invalid(f"Wrong input: Not existing vector name error: {name}")
    vector = _vector(message)
    if isinstance(vector, edge.SparseVector) != (spec.size is None):
        raise invalid(f"Wrong input: Vector {name} is {'sparse' if spec.size is None else 'dense'} in this collection")
    if spec.size is None:
        return vector
    if isinstance(vector, list) != spec.multi:
        raise invalid(f"Wrong input: Vector {name} is {'a multi-vector' if spec.multi else 'one vector'} in this collection")
    for row in vector if spec.multi else (vector,):
        if len(row) != spec.size:
            raise invalid(f"Wrong input: Vector dimension error: expected dim: {spec.size}, got {len(row)}")
    return vector


def _vector(message: Any) -> Any:
    """An array of float32, a list of them, or a SparseVector."""
    kind = message.WhichOneof("vector")
    if kind == "dense":
        return floats(message.dense)
    if kind == "sparse":
        return sparse(message.sparse.indices, message.sparse.values)
    if kind == "multi_dense":
        return [floats(row) for row in message.multi_dense.vectors]
    if kind is not None:
        raise no_inference()
    if message.HasField("indices"):  # the older form, before the oneof
        return sparse(message.indices.data, message.data)
    if message.HasField("vectors_count"):
        width = len(message.data) // max(message.vectors_count, 1)
        rows = [_finite(array("f", message.data[i * width : (i + 1) * width])) for i in range(message.vectors_count)]
        return rows if len(rows) > 1 else rows[0]
    return _finite(array("f", message.data))


def floats(message: Any) -> array:
    """The numbers of a DenseVector. Its wire form is a header and packed little-endian floats: one copy, no boxing."""
    count = len(message.data)
    wire = message.SerializeToString()
    start = len(wire) - 4 * count
    # 1 byte of tag and 1 to 4 of length; anything else (fields of a later version) goes the slow way.
    if count and wire[0] == 0x0A and start == 1 + max(1, -(-(4 * count).bit_length() // 7)):
        return _finite(array("f", wire[start:]))
    return _finite(array("f", message.data))


def _finite(numbers: array) -> array:
    if not math.isfinite(sum(numbers)):  # float32 cannot overflow a double's sum: it is finite only if all are
        raise invalid("Wrong input: Vector contains NaN or infinite values")
    return numbers


def sparse(indices: Any, values: Any) -> edge.SparseVector:
    positions, weights = indices[:], values[:]
    if len(positions) != len(weights):
        raise invalid("Validation error in body: [values: must be the same length as indices]")
    if len(set(positions)) != len(positions):
        raise invalid("Validation error in body: [indices: must be unique]")
    if not math.isfinite(sum(weights)):
        raise invalid("Wrong input: Vector contains NaN or infinite values")
    return edge.SparseVector(positions, weights)


def no_inference() -> CallError:
    return CallError(Status.UNIMPLEMENTED, "the embedded engine embeds no texts, images or objects: send vectors")


def write_vectors(value: Any, into: Any) -> None:
    """`into` is a VectorsOutput; its presence says that vectors were asked for."""
    if isinstance(value, dict):
        if len(value) == 1 and "" in value:
            _write_vector(value[""], into.vector)
            return
        into.vectors.SetInParent()
        for name, vector in value.items():
            _write_vector(vector, into.vectors.vectors[name])
    else:
        _write_vector(value, into.vector)


def _write_vector(vector: Any, into: Any) -> None:
    if isinstance(vector, edge.SparseVector):
        into.sparse.indices.extend(vector.indices)
        into.sparse.values.extend(vector.values)
        into.sparse.SetInParent()
    elif vector and isinstance(vector[0], list):
        for row in vector:
            into.multi_dense.vectors.add().data.extend(row)
    else:
        into.dense.data.extend(vector)


def write_record(record: Any, into: Any) -> None:
    """`into` is a RetrievedPoint or a ScoredPoint. The engine converts at each access: each part is read once."""
    write_id(record.id, into.id)
    values = record.payload
    if values:
        write_payload(values, into.payload)
    held = record.vector
    if held is not None:
        write_vectors(held, into.vectors)
    order = record.order_value
    if order is not None:
        if isinstance(order, int):
            into.order_value.int = order
        else:
            into.order_value.float = order


def write_scored(record: Any, into: points_pb2.ScoredPoint) -> None:
    write_record(record, into)
    into.score = record.score
    into.version = record.version
