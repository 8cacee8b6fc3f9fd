"""Qdrant's Points service."""

from typing import Any, Callable

import qdrant_edge as edge

from . import operations
from .api import points_pb2, points_service_pb2_grpc
from .convert import point_id, write_id, write_record, write_scored
from .errors import call, invalid, refuse_the_rest, unsupported
from .filters import optional_filter
from .queries import LIMIT_DEFAULT, query_request, scroll_request, with_payload, with_vectors
from .store import Collection, Store


def write(make: Callable[[Any, Collection], operations.Update]) -> Callable[..., points_pb2.PointsOperationResponse]:
    """The handler of a single write. It is applied before the answer, whether the caller waits or not."""

    @call
    def handler(self: "PointsService", request: Any) -> points_pb2.PointsOperationResponse:
        collection = self._store.get(request.collection_name)
        number = collection.apply(make(request, collection))
        return points_pb2.PointsOperationResponse(
            result=points_pb2.UpdateResult(operation_id=number, status=_status(request))
        )

    return handler


@refuse_the_rest
class PointsService(points_service_pb2_grpc.PointsServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    Upsert = write(operations.upsert)
    Delete = write(operations.delete_points)
    SetPayload = write(operations.set_payload)
    OverwritePayload = write(operations.overwrite_payload)
    DeletePayload = write(operations.delete_payload)
    ClearPayload = write(operations.clear_payload)
    UpdateVectors = write(operations.update_vectors)
    DeleteVectors = write(operations.delete_vectors)
    CreateFieldIndex = write(operations.create_field_index)
    DeleteFieldIndex = write(operations.delete_field_index)

    @call
    def UpdateBatch(self, request: points_pb2.UpdateBatchPoints) -> points_pb2.UpdateBatchResponse:
        """One status per operation, in their order. A wrong operation refuses the batch before any is applied."""
        collection = self._store.get(request.collection_name)
        made = [operations.batched(operation, collection) for operation in request.operations]
        response = points_pb2.UpdateBatchResponse()
        status = _status(request)
        for operation in made:
            response.result.add(operation_id=collection.apply(operation), status=status)
        return response

    @call
    def Get(self, request: points_pb2.GetPoints) -> points_pb2.GetResponse:
        """The points that are there, in the order in which they were asked for, each once."""
        collection = self._one_shard(request)
        ids = list(dict.fromkeys(point_id(id) for id in request.ids))
        response = points_pb2.GetResponse()
        for record in collection.shard.retrieve(ids, with_payload(request), with_vectors(request)):
            write_record(record, response.result.add())
        return response

    @call
    def Scroll(self, request: points_pb2.ScrollPoints) -> points_pb2.ScrollResponse:
        collection = self._one_shard(request)
        records, offset = collection.shard.scroll(scroll_request(request))
        response = points_pb2.ScrollResponse()
        for record in records:
            write_record(record, response.result.add())
        if offset is not None:
            write_id(offset, response.next_page_offset)
        return response

    @call
    def Count(self, request: points_pb2.CountPoints) -> points_pb2.CountResponse:
        collection = self._one_shard(request)
        exact = request.exact if request.HasField("exact") else True
        count = collection.shard.count(edge.CountRequest(exact=exact, filter=optional_filter(request)))
        return points_pb2.CountResponse(result=points_pb2.CountResult(count=count))

    @call
    def Query(self, request: points_pb2.QueryPoints) -> points_pb2.QueryResponse:
        collection = self._store.get(request.collection_name)
        response = points_pb2.QueryResponse()
        for found in collection.shard.query(query_request(request, collection)):
            write_scored(found, response.result.add())
        return response

    @call
    def QueryBatch(self, request: points_pb2.QueryBatchPoints) -> points_pb2.QueryBatchResponse:
        collection = self._store.get(request.collection_name)
        queries = [query_request(query, collection) for query in request.query_points]
        response = points_pb2.QueryBatchResponse()
        for results in collection.shard.query_batch(edge.QueryBatchRequest(queries)):
            batch = response.result.add()
            for found in results:
                write_scored(found, batch.result.add())
        return response

    @call
    def Facet(self, request: points_pb2.FacetCounts) -> points_pb2.FacetResponse:
        collection = self._one_shard(request)
        limit = request.limit if request.HasField("limit") else LIMIT_DEFAULT
        if limit < 1:
            raise invalid("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")
        wanted = edge.FacetRequest(request.key, limit=limit, exact=request.exact, filter=optional_filter(request))
        response = points_pb2.FacetResponse()
        for hit in collection.shard.facet(wanted).hits:
            value = response.hits.add(count=hit.count).value
            if isinstance(hit.value, bool):
                value.bool_value = hit.value
            elif isinstance(hit.value, int):
                value.integer_value = hit.value
            else:
                value.string_value = hit.value
        return response

    def _one_shard(self, request: Any) -> Collection:
        if request.HasField("shard_key_selector"):
            raise unsupported("a shard key")
        return self._store.get(request.collection_name)


def _status(request: Any) -> int:
    return points_pb2.Completed if request.wait else points_pb2.Acknowledged
