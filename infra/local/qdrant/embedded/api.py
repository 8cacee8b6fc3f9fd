"""The generated messages and servicers of Qdrant's gRPC API, as the package qdrant-client ships them.

Importing `qdrant_client` itself would load its Python client with numpy and pydantic: 50 MB and 0.7 s for nothing.
So the package is entered by its `grpc` folder alone.
"""

import importlib.machinery
import sys
import types

if "qdrant_client" not in sys.modules:
    _spec = importlib.machinery.PathFinder.find_spec("qdrant_client")
    if _spec is None or _spec.submodule_search_locations is None:
        raise ImportError("qdrant-client is not installed: pip install -r requirements.txt")
    _package = types.ModuleType("qdrant_client")
    _package.__path__ = list(_spec.submodule_search_locations)
    sys.modules["qdrant_client"] = _package

from qdrant_client.grpc import (  # noqa: E402
    collections_pb2,
    collections_service_pb2_grpc,
    json_with_int_pb2,
    points_pb2,
    points_service_pb2_grpc,
    qdrant_common_pb2,
    qdrant_pb2,
    qdrant_pb2_grpc,
    snapshots_service_pb2_grpc,
)

__all__ = [
    "collections_pb2",
    "collections_service_pb2_grpc",
    "json_with_int_pb2",
    "points_pb2",
    "points_service_pb2_grpc",
    "qdrant_common_pb2",
    "qdrant_pb2",
    "qdrant_pb2_grpc",
    "snapshots_service_pb2_grpc",
]
