"""Qdrant's status codes and messages, and the wrapper that turns a failure of a call into one of them."""

import functools
import re
import sys
import time
import traceback
from typing import Any, Callable

import grpc

Status = grpc.StatusCode


class CallError(Exception):
    """Ends the call with this status and message."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def invalid(message: str) -> CallError:
    """The request is wrong as it stands: INVALID_ARGUMENT."""
    return CallError(Status.INVALID_ARGUMENT, message)


def not_found(message: str) -> CallError:
    return CallError(Status.NOT_FOUND, f"Not found: {message}")


def unsupported(what: str) -> CallError:
    """A part of Qdrant's API that the embedded engine lacks: said aloud, never answered wrongly."""
    return CallError(Status.UNIMPLEMENTED, f"{what} is not offered by the embedded engine: it needs the Qdrant server")


def only(message: Any, allowed: frozenset[str]) -> None:
    """Refuses a request that sets a field which would be ignored here. Raises UNIMPLEMENTED."""
    for field, _ in message.ListFields():
        if field.name not in allowed:
            raise unsupported(f"{message.DESCRIPTOR.name}.{field.name}")


# The engine raises bare exceptions; only their words tell whose fault it is.
_CALLERS_FAULT = re.compile(
    r"dimension error|Not existing vector name|Wrong |[Vv]alidation|pars|Malformed|[Nn]o (appropriate|range) index"
    r"|UUID|Please create|[Cc]onversion|JSON path|[Ii]nvalid|must be|cannot be"
)


def from_engine(error: BaseException) -> CallError:
    message = str(error)
    if "No point with id" in message:
        return not_found(message)
    if "Shard is not initialized" in message:
        return not_found("the collection was deleted meanwhile")
    if isinstance(error, (ValueError, TypeError, OverflowError)) or _CALLERS_FAULT.search(message):
        return invalid(message if message.startswith("Wrong input") else f"Wrong input: {message}")
    return CallError(Status.INTERNAL, f"Service internal error: {message}")


def call(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any, grpc.ServicerContext], Any]:
    """Makes a method (self, request) -> response a gRPC handler: measures its time and maps its errors."""

    @functools.wraps(method)
    def handler(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        started = time.perf_counter()
        try:
            response = method(self, request)
        except CallError as error:
            context.abort(error.status, error.message)
        except Exception as error:  # the engine's own errors are bare Exceptions
            mapped = from_engine(error)
            if mapped.status is Status.INTERNAL:
                traceback.print_exc(file=sys.stderr)
            context.abort(mapped.status, mapped.message)
        response.time = time.perf_counter() - started
        return response

    return handler


def refuse_the_rest(servicer: type) -> type:
    """Class decorator: every method of the generated servicer that is not written here says so, with UNIMPLEMENTED."""
    for name in dir(servicer.__mro__[1]):
        if name[0].isupper() and name not in servicer.__dict__:
            setattr(servicer, name, _refusal(name))
    return servicer


def _refusal(name: str) -> Callable[[Any, Any, grpc.ServicerContext], Any]:
    def handler(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(Status.UNIMPLEMENTED, unsupported(name).message)

    return handler
