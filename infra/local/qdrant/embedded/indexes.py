"""Payload indexes, between protobuf and the engine, which also remembers them."""

from typing import Any

import qdrant_edge as edge

from .api import collections_pb2, points_pb2
from .errors import invalid, unsupported

_INDEXES: dict[str, type] = {
    "keyword": edge.KeywordIndexParams,
    "integer": edge.IntegerIndexParams,
    "float": edge.FloatIndexParams,
    "geo": edge.GeoIndexParams,
    "text": edge.TextIndexParams,
    "bool": edge.BoolIndexParams,
    "datetime": edge.DatetimeIndexParams,
    "uuid": edge.UuidIndexParams,
}
_INDEX_FLAGS = frozenset(
    "is_tenant is_principal lookup range prefix on_disk enable_hnsw lowercase min_token_len max_token_len"
    " phrase_matching ascii_folding".split()
)
_TOKENIZERS = {
    collections_pb2.Prefix: edge.TokenizerType.Prefix,
    collections_pb2.Whitespace: edge.TokenizerType.Whitespace,
    collections_pb2.Word: edge.TokenizerType.Word,
    collections_pb2.Multilingual: edge.TokenizerType.Multilingual,
}


def field_index(message: points_pb2.CreateFieldIndexCollection) -> Any:
    """What to index a payload field by: a type, or its parameters. Raises INVALID_ARGUMENT or UNIMPLEMENTED."""
    if not message.HasField("field_type"):
        raise invalid("Wrong input: field_type is missing")
    name = points_pb2.FieldType.Name(message.field_type).removeprefix("FieldType")
    given = message.field_index_params.WhichOneof("index_params") if message.HasField("field_index_params") else None
    if given is None:
        return getattr(edge.PayloadSchemaType, name)
    if given != f"{name.lower()}_index_params":
        raise invalid(f"Wrong input: {given} do not belong to the field type {name}")
    params = getattr(message.field_index_params, given)
    flags: dict[str, Any] = {}
    for field, value in params.ListFields():
        if field.name == "tokenizer" and value in _TOKENIZERS:
            flags["tokenizer"] = _TOKENIZERS[value]
        elif field.name in _INDEX_FLAGS:
            flags[field.name] = value
        elif field.name != "memory":  # memory says only where the server keeps the index
            raise unsupported(f"{given}.{field.name}")
    return _INDEXES[name.lower()](**flags)


def write_index(info: Any, into: collections_pb2.PayloadSchemaInfo) -> None:
    name = str(info.data_type).rsplit(".", 1)[-1]
    into.data_type = collections_pb2.PayloadSchemaType.Value(name)
    into.points = info.points
    if info.params is None:
        return
    params = getattr(into.params, f"{name.lower()}_index_params")
    params.SetInParent()
    for field in params.DESCRIPTOR.fields:
        if field.name in _INDEX_FLAGS and (value := getattr(info.params, field.name, None)) is not None:
            setattr(params, field.name, value)
        elif field.name == "tokenizer":
            params.tokenizer = next(key for key, value in _TOKENIZERS.items() if value == info.params.tokenizer)
