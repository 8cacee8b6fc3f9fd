"""Filters, from protobuf to the engine."""

from typing import Any, Callable

import qdrant_edge as edge

from .convert import point_id
from .errors import invalid, unsupported


def filter_of(message: Any) -> edge.Filter:
    """An empty condition counts for nothing, as on the server. Raises INVALID_ARGUMENT or UNIMPLEMENTED."""
    return edge.Filter(
        must=_conditions(message.must),
        should=_conditions(message.should),
        must_not=_conditions(message.must_not),
        min_should=edge.MinShould(
            [_condition(item) for item in message.min_should.conditions], message.min_should.min_count
        )
        if message.HasField("min_should")
        else None,
    )


def optional_filter(message: Any, field: str = "filter") -> edge.Filter | None:
    return filter_of(getattr(message, field)) if message.HasField(field) else None


def without(ids: list[Any], given: edge.Filter | None) -> edge.Filter | None:
    """The same filter, less these points: a point that is the query is no neighbour of itself."""
    if not ids:
        return given
    others = edge.Filter(must_not=[edge.HasIdCondition(set(ids))])
    return others if given is None else edge.Filter(must=[others, given])


def optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _conditions(items: Any) -> list[Any] | None:
    return [_condition(item) for item in items if item.WhichOneof("condition_one_of")] or None


def _condition(message: Any) -> Any:
    kind = message.WhichOneof("condition_one_of")
    if kind is None:
        raise invalid("Malformed Condition type")
    make = _CONDITIONS.get(kind)
    if make is None:
        raise unsupported(f"the condition `{kind}`")
    return make(getattr(message, kind))


def _field(message: Any) -> edge.FieldCondition:
    given: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "key":
            continue
        make = _FIELD_PARTS.get(field.name)
        if make is None:
            raise unsupported(f"the field condition `{field.name}`")
        name = "range" if field.name == "datetime_range" else field.name
        if name in given:
            raise invalid("Wrong input: a field condition holds two ranges")
        given[name] = make(value)
    if not given:
        raise invalid("Validation error in body: At least one field condition must be specified")
    return edge.FieldCondition(message.key, **given)


def _match(message: Any) -> Any:
    kind = message.WhichOneof("match_value")
    make = _MATCHES.get(kind)
    if make is None:
        raise invalid("Malformed Match condition") if kind is None else unsupported(f"the match `{kind}`")
    return make(getattr(message, kind))


def _bounds(message: Any, of: Callable[[Any], Any] = lambda bound: bound) -> dict[str, Any]:
    return {name: of(getattr(message, name)) for name in ("gt", "gte", "lt", "lte") if message.HasField(name)}


def _geo(point: Any) -> edge.GeoPoint:
    return edge.GeoPoint(point.lon, point.lat)


def _line(line: Any) -> list[edge.GeoPoint]:
    return [_geo(point) for point in line.points]


class _Bool:
    """A boolean to match. The engine's binding takes True for the integer 1, but numpy's own boolean for a boolean."""

    def __init__(self, value: bool) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return self.value


_Bool.__module__ = "numpy"
_Bool.__name__ = _Bool.__qualname__ = "bool_"

_MATCHES: dict[str, Callable[[Any], Any]] = {
    "keyword": edge.MatchValue,
    "integer": edge.MatchValue,
    "boolean": lambda value: edge.MatchValue(_Bool(value)),
    "keywords": lambda value: edge.MatchAny(value.strings[:]),
    "integers": lambda value: edge.MatchAny(value.integers[:]),
    "except_keywords": lambda value: edge.MatchExcept(value.strings[:]),
    "except_integers": lambda value: edge.MatchExcept(value.integers[:]),
    "text": edge.MatchText,
    "text_any": edge.MatchTextAny,
    "phrase": edge.MatchPhrase,
    "prefix": edge.MatchPrefix,
}

_FIELD_PARTS: dict[str, Callable[[Any], Any]] = {
    "match": _match,
    "range": lambda range: edge.RangeFloat(**_bounds(range)),
    "datetime_range": lambda range: edge.RangeDateTime(**_bounds(range, lambda moment: moment.ToJsonString())),
    "values_count": lambda count: edge.ValuesCount(**_bounds(count)),
    "is_empty": bool,
    "is_null": bool,
    "geo_bounding_box": lambda box: edge.GeoBoundingBox(_geo(box.top_left), _geo(box.bottom_right)),
    "geo_radius": lambda circle: edge.GeoRadius(_geo(circle.center), circle.radius),
    "geo_polygon": lambda shape: edge.GeoPolygon(_line(shape.exterior), [_line(i) for i in shape.interiors] or None),
}

_CONDITIONS: dict[str, Callable[[Any], Any]] = {
    "field": _field,
    "filter": filter_of,
    "is_empty": lambda condition: edge.IsEmptyCondition(condition.key),
    "is_null": lambda condition: edge.IsNullCondition(condition.key),
    "has_id": lambda condition: edge.HasIdCondition({point_id(item) for item in condition.has_id}),
    "has_vector": lambda condition: edge.HasVectorCondition(condition.has_vector),
    "nested": lambda condition: edge.NestedCondition(condition.key, filter_of(condition.filter)),
}
