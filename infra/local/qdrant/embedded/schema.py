"""The configuration of a collection, between protobuf and the engine."""

import os
from typing import Any

import qdrant_edge as edge

from .api import collections_pb2
from .convert import Specs, VectorSpec
from .errors import invalid, only, unsupported
from .filters import optional

SIZE_MAX = 65536
SEARCH_THREADS_MAX = 4

_CREATE_FIELDS = frozenset(
    "collection_name hnsw_config wal_config optimizers_config shard_number on_disk_payload timeout vectors_config"
    " replication_factor write_consistency_factor sparse_vectors_config metadata payload".split()
)
_VECTOR_FIELDS = frozenset("size distance hnsw_config on_disk datatype multivector_config memory".split())

_DISTANCES = {
    collections_pb2.Cosine: edge.Distance.Cosine,
    collections_pb2.Euclid: edge.Distance.Euclid,
    collections_pb2.Dot: edge.Distance.Dot,
    collections_pb2.Manhattan: edge.Distance.Manhattan,
}
_DATATYPES = {
    collections_pb2.Default: None,
    collections_pb2.Float32: edge.VectorStorageDatatype.Float32,
    collections_pb2.Uint8: edge.VectorStorageDatatype.Uint8,
    collections_pb2.Float16: edge.VectorStorageDatatype.Float16,
}


def engine_config(create: collections_pb2.CreateCollection) -> edge.EdgeConfig:
    """Raises INVALID_ARGUMENT for a wrong configuration, UNIMPLEMENTED for one that needs the server.

    What only tunes the server's index building and placement (HNSW, optimizers, WAL, memory) is kept with the
    collection and shown again, but changes nothing here: no index is built.
    """
    only(create, _CREATE_FIELDS)
    for field in ("shard_number", "replication_factor", "write_consistency_factor"):
        if create.HasField(field) and getattr(create, field) > 1:
            raise unsupported(f"more than one shard or replica ({field})")
    dense = {name: _dense(params) for name, params in dense_params(create).items()}
    sparse = {name: _sparse(params) for name, params in create.sparse_vectors_config.map.items()}
    if not dense and not sparse:
        raise unsupported("a collection without vectors")
    return edge.EdgeConfig(
        vectors=dense,
        sparse_vectors=sparse or None,
        max_search_threads=min(SEARCH_THREADS_MAX, os.cpu_count() or 1),
    )


def dense_params(create: collections_pb2.CreateCollection) -> dict[str, Any]:
    config = create.vectors_config
    if config.WhichOneof("config") == "params":
        return {"": config.params}
    return dict(config.params_map.map)


def vector_specs(create: collections_pb2.CreateCollection) -> Specs:
    specs = {
        name: VectorSpec(params.size, params.HasField("multivector_config"))
        for name, params in dense_params(create).items()
    }
    return specs | {name: VectorSpec(None) for name in create.sparse_vectors_config.map}


def _dense(params: collections_pb2.VectorParams) -> edge.EdgeVectorParams:
    only(params, _VECTOR_FIELDS)
    if not 1 <= params.size <= SIZE_MAX:
        raise invalid(
            f"Validation error in body: [vectors_config.size: value {params.size} invalid, must be from 1 to {SIZE_MAX}]"
        )
    if params.distance not in _DISTANCES:
        raise invalid("Wrong input: the distance is missing or unknown")
    if params.datatype not in _DATATYPES:
        raise unsupported(f"the datatype {collections_pb2.Datatype.Name(params.datatype)}")
    multi = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if params.HasField("multivector_config") else None
    return edge.EdgeVectorParams(
        size=params.size,
        distance=_DISTANCES[params.distance],
        datatype=_DATATYPES[params.datatype],
        multivector_config=multi,
    )


def _sparse(params: collections_pb2.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    datatype = params.index.datatype
    if datatype not in _DATATYPES:
        raise unsupported(f"the datatype {collections_pb2.Datatype.Name(datatype)}")
    return edge.EdgeSparseVectorParams(
        modifier=edge.Modifier.Idf if params.modifier == collections_pb2.Idf else None,
        datatype=_DATATYPES[datatype],
    )


def write_config(create: collections_pb2.CreateCollection, into: collections_pb2.CollectionConfig) -> None:
    """The configuration as the collection was created, with the server's defaults where it said nothing."""
    params = into.params
    params.shard_number = params.replication_factor = params.write_consistency_factor = 1
    params.on_disk_payload = optional(create, "on_disk_payload") is not False
    params.vectors_config.CopyFrom(create.vectors_config)
    if create.HasField("sparse_vectors_config"):
        params.sparse_vectors_config.CopyFrom(create.sparse_vectors_config)
    into.hnsw_config.m, into.hnsw_config.ef_construct, into.hnsw_config.full_scan_threshold = 16, 100, 10000
    into.hnsw_config.MergeFrom(create.hnsw_config)
    into.optimizer_config.CopyFrom(create.optimizers_config)
    into.wal_config.CopyFrom(create.wal_config)
    for key, value in create.metadata.items():
        into.metadata[key].CopyFrom(value)
