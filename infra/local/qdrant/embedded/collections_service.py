"""Qdrant's Collections service."""

import re

from .api import collections_pb2, collections_service_pb2_grpc
from .errors import CallError, Status, call, invalid, not_found, refuse_the_rest
from .indexes import write_index
from .schema import write_config
from .store import Store

_NAME = re.compile(r'[^<>:"/\\|?*\0\x1f]{1,255}')


@refuse_the_rest
class CollectionsService(collections_service_pb2_grpc.CollectionsServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    @call
    def Create(self, request: collections_pb2.CreateCollection) -> collections_pb2.CollectionOperationResponse:
        name = request.collection_name
        if not _NAME.fullmatch(name):
            raise invalid("Validation error in body: [collection_name: empty, too long, or with a forbidden character]")
        with self._store.lock:
            if name in self._store.collections:
                raise CallError(Status.ALREADY_EXISTS, f"Wrong input: Collection `{name}` already exists!")
            if name in self._store.aliases:
                raise invalid(
                    f"Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
                )
            self._store.create(request)
        return collections_pb2.CollectionOperationResponse(result=True)

    @call
    def Delete(self, request: collections_pb2.DeleteCollection) -> collections_pb2.CollectionOperationResponse:
        with self._store.lock:
            return collections_pb2.CollectionOperationResponse(result=self._store.delete(request.collection_name))

    @call
    def List(self, request: collections_pb2.ListCollectionsRequest) -> collections_pb2.ListCollectionsResponse:
        names = sorted(self._store.collections)
        return collections_pb2.ListCollectionsResponse(
            collections=[collections_pb2.CollectionDescription(name=name) for name in names]
        )

    @call
    def CollectionExists(
        self, request: collections_pb2.CollectionExistsRequest
    ) -> collections_pb2.CollectionExistsResponse:
        name = self._store.aliases.get(request.collection_name, request.collection_name)
        return collections_pb2.CollectionExistsResponse(
            result=collections_pb2.CollectionExists(exists=name in self._store.collections)
        )

    @call
    def Get(self, request: collections_pb2.GetCollectionInfoRequest) -> collections_pb2.GetCollectionInfoResponse:
        collection = self._store.get(request.collection_name)
        info = collection.shard.info()
        response = collections_pb2.GetCollectionInfoResponse()
        result = response.result
        result.status = collections_pb2.Green
        result.optimizer_status.ok = True
        result.segments_count = info.segments_count
        result.points_count = info.points_count
        result.indexed_vectors_count = 0  # no index is ever built here: all searches are exact
        write_config(collection.create, result.config)
        for field, index in info.payload_schema.items():
            write_index(index, result.payload_schema[field])
        return response

    @call
    def UpdateAliases(self, request: collections_pb2.ChangeAliases) -> collections_pb2.CollectionOperationResponse:
        """All actions or none: readers and the disk see the aliases before or after, nothing between."""
        with self._store.lock:
            aliases = dict(self._store.aliases)
            for action in request.actions:
                self._act(action, aliases)
            self._store.save_aliases(aliases)
        return collections_pb2.CollectionOperationResponse(result=True)

    def _act(self, action: collections_pb2.AliasOperations, aliases: dict[str, str]) -> None:
        kind = action.WhichOneof("action")
        if kind == "create_alias":
            alias, name = action.create_alias.alias_name, action.create_alias.collection_name
            if name not in self._store.collections:
                raise not_found(f"Collection `{name}` doesn't exist!")
            if alias in self._store.collections:
                raise invalid(f"Wrong input: Alias name `{alias}` is already used as a collection name")
            aliases[alias] = name
        elif kind == "delete_alias":
            aliases.pop(action.delete_alias.alias_name, None)
        elif kind == "rename_alias":
            old, new = action.rename_alias.old_alias_name, action.rename_alias.new_alias_name
            if old not in aliases:
                raise not_found(f"Alias {old} does not exists!")
            if new in self._store.collections:
                raise invalid(f"Wrong input: Alias name `{new}` is already used as a collection name")
            aliases[new] = aliases.pop(old)
        else:
            raise invalid("Malformed alias action")

    @call
    def ListAliases(self, request: collections_pb2.ListAliasesRequest) -> collections_pb2.ListAliasesResponse:
        return _described(self._store.aliases)

    @call
    def ListCollectionAliases(
        self, request: collections_pb2.ListCollectionAliasesRequest
    ) -> collections_pb2.ListAliasesResponse:
        name = self._store.get(request.collection_name).name
        return _described({alias: to for alias, to in self._store.aliases.items() if to == name})


def _described(aliases: dict[str, str]) -> collections_pb2.ListAliasesResponse:
    return collections_pb2.ListAliasesResponse(
        aliases=[
            collections_pb2.AliasDescription(alias_name=alias, collection_name=name)
            for alias, name in sorted(aliases.items())
        ]
    )
