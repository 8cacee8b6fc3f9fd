"""Queries, scrolls and selectors, from protobuf to the engine."""

from typing import Any

import qdrant_edge as edge

from .api import points_pb2
from .convert import PointId, floats, no_inference, point_id, sparse
from .errors import invalid, not_found, only, unsupported
from .filters import filter_of, optional, optional_filter, without
from .store import Collection

LIMIT_DEFAULT = 10
RRF_K_DEFAULT = 2  # the server's

_QUERY_FIELDS = frozenset(
    "collection_name prefetch query using filter params score_threshold limit offset with_vectors with_payload"
    " read_consistency timeout".split()
)
_PREFETCH_FIELDS = frozenset("prefetch query using filter params score_threshold limit".split())
_PARAMS_FIELDS = frozenset("hnsw_ef exact quantization indexed_only".split())


def query_request(message: Any, collection: Collection) -> edge.QueryRequest:
    """A QueryPoints. Raises INVALID_ARGUMENT, NOT_FOUND (a query by an id that is not there), UNIMPLEMENTED."""
    only(message, _QUERY_FIELDS)
    query, ids = _query(message, collection)
    return edge.QueryRequest(
        limit=_limit(message),
        offset=optional(message, "offset") or 0,
        query=query,
        prefetches=[_prefetch(item, collection) for item in message.prefetch],
        with_vector=with_vectors(message),
        with_payload=with_payload(message),
        filter=without(ids, optional_filter(message)),
        score_threshold=optional(message, "score_threshold"),
        params=_params(message),
    )


def _prefetch(message: Any, collection: Collection) -> edge.Prefetch:
    only(message, _PREFETCH_FIELDS)
    query, ids = _query(message, collection)
    return edge.Prefetch(
        limit=_limit(message),
        query=query,
        prefetches=[_prefetch(item, collection) for item in message.prefetch],
        params=_params(message),
        filter=without(ids, optional_filter(message)),
        score_threshold=optional(message, "score_threshold"),
    )


def _limit(message: Any) -> int:
    if not message.HasField("limit"):
        return LIMIT_DEFAULT
    if message.limit < 1:
        raise invalid("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")
    return message.limit


def _query(message: Any, collection: Collection) -> tuple[Any, list[PointId]]:
    """The query, and the points that it names: they are left out of its answer."""
    if not message.HasField("query"):
        return None, []
    kind = message.query.WhichOneof("variant")
    if kind == "nearest":
        return _nearest(message.query.nearest, optional(message, "using"), collection)
    value = getattr(message.query, kind) if kind else None
    if kind in ("fusion", "rrf") and not message.prefetch:
        raise invalid("Bad request: A fusion query needs at least one prefetch")
    if kind == "fusion":
        return (edge.Fusion.Rrf(k=RRF_K_DEFAULT) if value == points_pb2.RRF else edge.Fusion.Dbsf()), []
    if kind == "rrf":
        return edge.Fusion.Rrf(k=value.k if value.HasField("k") else RRF_K_DEFAULT, weights=value.weights[:] or None), []
    if kind == "order_by":
        return order_by(value), []
    if kind == "sample":
        return edge.Sample.Random, []
    raise unsupported(f"the query `{kind}`") if kind else invalid("Bad request: Query variant is missing")


def _nearest(message: Any, using: str | None, collection: Collection) -> tuple[Any, list[PointId]]:
    if (using or "") not in collection.specs:
        raise invalid(
            f"Wrong input: Not existing vector name error: {using}"
            if using
            else "Wrong input: Collection requires specified vector name in the request"
        )
    kind = message.WhichOneof("variant")
    ids: list[PointId] = []
    if kind == "dense":
        vector: Any = floats(message.dense)
    elif kind == "sparse":
        vector = sparse(message.sparse.indices, message.sparse.values)
    elif kind == "multi_dense":
        vector = [floats(row) for row in message.multi_dense.vectors]
    elif kind == "id":
        ids = [point_id(message.id)]
        vector = _vector_of(ids[0], using, collection)
    elif kind is None:
        raise invalid("Bad request: VectorInput variant is missing")
    else:
        raise no_inference()
    return edge.Query.Nearest(vector, using=using), ids


def _vector_of(id: PointId, using: str | None, collection: Collection) -> Any:
    found = collection.shard.retrieve([id], False, [using] if using else True)
    if not found:
        raise not_found(f"No point with id {id} found")
    held = found[0].vector
    vector = held.get(using or "") if isinstance(held, dict) else held
    if vector is None:
        raise not_found(f"Point {id} has no vector {using or ''}")
    return vector


def _params(message: Any) -> edge.SearchParams | None:
    if not message.HasField("params"):
        return None
    only(message.params, _PARAMS_FIELDS)
    params = message.params
    quantization = None
    if params.HasField("quantization"):
        given = params.quantization
        quantization = edge.QuantizationSearchParams(
            ignore=given.ignore, rescore=optional(given, "rescore"), oversampling=optional(given, "oversampling")
        )
    return edge.SearchParams(
        hnsw_ef=optional(params, "hnsw_ef"),
        exact=params.exact,
        quantization=quantization,
        indexed_only=params.indexed_only,
    )


def scroll_request(message: Any) -> edge.ScrollRequest:
    if message.HasField("limit") and message.limit < 1:
        raise invalid("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")
    return edge.ScrollRequest(
        offset=point_id(message.offset) if message.HasField("offset") else None,
        limit=message.limit if message.HasField("limit") else LIMIT_DEFAULT,
        filter=optional_filter(message),
        with_payload=with_payload(message, default=True),
        with_vector=with_vectors(message),
        order_by=order_by(message.order_by) if message.HasField("order_by") else None,
    )


def order_by(message: Any) -> edge.OrderBy:
    direction = None
    if message.HasField("direction"):
        direction = edge.Direction.Desc if message.direction == points_pb2.Desc else edge.Direction.Asc
    start: Any = None
    if message.HasField("start_from"):
        kind = message.start_from.WhichOneof("value")
        if kind is None:
            raise invalid("Bad request: StartFrom value is missing")
        start = getattr(message.start_from, kind)
        if kind == "timestamp":
            start = start.ToJsonString()
    return edge.OrderBy(message.key, direction, start)


def with_payload(message: Any, default: bool = False) -> Any:
    if not message.HasField("with_payload"):
        return default
    selector = message.with_payload
    kind = selector.WhichOneof("selector_options")
    if kind == "include":
        return edge.PayloadSelector.Include(selector.include.fields[:])
    if kind == "exclude":
        return edge.PayloadSelector.Exclude(selector.exclude.fields[:])
    return selector.enable


def with_vectors(message: Any) -> Any:
    if not message.HasField("with_vectors"):
        return False
    selector = message.with_vectors
    return selector.include.names[:] if selector.WhichOneof("selector_options") == "include" else selector.enable


def selected(message: Any) -> tuple[list[PointId] | None, edge.Filter | None]:
    """A PointsSelector: ids or a filter, the other is None. Raises INVALID_ARGUMENT where it is missing."""
    kind = message.WhichOneof("points_selector_one_of")
    if kind == "points":
        return [point_id(item) for item in message.points.ids], None
    if kind == "filter":
        return None, filter_of(message.filter)
    raise invalid("PointsSelector is missing")
