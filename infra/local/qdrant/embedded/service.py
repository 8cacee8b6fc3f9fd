"""Who answers: the health check, and the snapshots that are not offered."""

from typing import Any

from .api import qdrant_pb2, qdrant_pb2_grpc, snapshots_service_pb2_grpc
from .errors import refuse_the_rest

TITLE = "Qdrant Edge, the engine of Qdrant embedded in a local process (not the Qdrant server)"
API_VERSION = "1.19.0"  # of the API that is spoken; clients compare it with their own


class QdrantService(qdrant_pb2_grpc.QdrantServicer):
    def HealthCheck(self, request: qdrant_pb2.HealthCheckRequest, context: Any) -> qdrant_pb2.HealthCheckReply:
        return qdrant_pb2.HealthCheckReply(title=TITLE, version=API_VERSION)


@refuse_the_rest
class SnapshotsService(snapshots_service_pb2_grpc.SnapshotsServicer):
    """Snapshots: copy the folder of a stopped process instead."""
