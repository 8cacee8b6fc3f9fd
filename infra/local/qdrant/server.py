#!/usr/bin/env python3
"""Serves Qdrant's gRPC API from Qdrant's own engine in this process.

    server.py --path FOLDER [--host 127.0.0.1] [--port 6334]

Prints one line of JSON when it is ready. SIGTERM and SIGINT stop it: no new calls, flush, exit 0. Exits 1 if the port
is taken or another process serves the folder.
"""

import argparse
import hmac
import json
import signal
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from embedded.api import collections_service_pb2_grpc, points_service_pb2_grpc, qdrant_pb2_grpc, snapshots_service_pb2_grpc
from embedded.collections_service import CollectionsService
from embedded.points_service import PointsService
from embedded.service import QdrantService, SnapshotsService
from embedded.store import FolderHeld, Store

# The engine holds the interpreter's lock in every call: more threads would only wait for each other.
THREADS = 4
MESSAGE_BYTES_MAX = 256 * 1024 * 1024
FLUSH_INTERVAL_SECONDS = 5.0
STOP_GRACE_SECONDS = 5.0


def main() -> None:
    arguments = _arguments()
    started = time.monotonic()
    stopping = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())

    key = arguments.api_key_file.read_text().strip() if arguments.api_key_file else None
    server = grpc.server(
        futures.ThreadPoolExecutor(THREADS),
        interceptors=[KeyRequired(key)] if key else [],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", -1),
        ],
    )
    try:
        port = _listen(server, arguments)
        store = Store(arguments.path)
    except (FolderHeld, RuntimeError) as error:
        sys.exit(f"embedded Qdrant: {error}")

    collections_service_pb2_grpc.add_CollectionsServicer_to_server(CollectionsService(store), server)
    points_service_pb2_grpc.add_PointsServicer_to_server(PointsService(store), server)
    snapshots_service_pb2_grpc.add_SnapshotsServicer_to_server(SnapshotsService(), server)
    qdrant_pb2_grpc.add_QdrantServicer_to_server(QdrantService(), server)
    health_service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    server.start()
    health_service.set("", health_pb2.HealthCheckResponse.SERVING)
    print(json.dumps({"ready": True, "port": port, "seconds": round(time.monotonic() - started, 3)}), flush=True)

    while not stopping.wait(FLUSH_INTERVAL_SECONDS):
        store.flush_when_quiet(time.monotonic())
    health_service.enter_graceful_shutdown()
    server.stop(STOP_GRACE_SECONDS).wait()
    store.close()


def _listen(server: grpc.Server, arguments: argparse.Namespace) -> int:
    address = f"{arguments.host}:{arguments.port}"
    if not arguments.tls_cert:
        return server.add_insecure_port(address)
    pair = (arguments.tls_key.read_bytes(), arguments.tls_cert.read_bytes())
    return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))


class KeyRequired(grpc.ServerInterceptor):
    """As Qdrant has it: the key in the header api-key, for everything but the health checks."""

    OPEN = ("/qdrant.Qdrant/HealthCheck", "/grpc.health.v1.Health/Check")

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(
            lambda _request, context: context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "Must provide an API key or an Authorization bearer token"
            )
        )

    def intercept_service(self, continuation, details):
        given = dict(details.invocation_metadata).get("api-key", "")
        if details.method in self.OPEN or hmac.compare_digest(given.encode(), self._key):
            return continuation(details)
        return self._refusal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Qdrant's engine in this process, behind Qdrant's gRPC API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; anybody is let in without --api-key-file")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain, PEM; with --tls-key")
    parser.add_argument("--tls-key", type=Path, help="private key, PEM")
    parser.add_argument("--api-key-file", type=Path, help="file with the key that callers must show")
    parser.add_argument("--port", type=int, default=6334, help="gRPC port")
    parser.add_argument("--path", type=Path, required=True, help="folder of the data, held by one process at a time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
