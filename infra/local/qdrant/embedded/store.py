"""The folder: collections, each with its engine shard, and the aliases. One process holds it at a time.

    .lock                            held by the serving process
    aliases.json                     alias -> collection, replaced as a whole
    collections/<uuid>/collection    the CreateCollection message; a folder without it is not a collection
    collections/<uuid>/shard/        the engine's files and write-ahead log
"""

import fcntl
import json
import os
import shutil
import threading
import uuid
from pathlib import Path

import qdrant_edge as edge

from .api import collections_pb2
from .errors import not_found
from .schema import engine_config, vector_specs


# The longest time that writes are held by the write-ahead log alone, which is what a start has to replay.
FLUSH_DELAY_SECONDS_MAX = 20.0


class FolderHeld(Exception):
    """Another process serves this folder."""


class Collection:
    def __init__(self, folder: Path, create: collections_pb2.CreateCollection, shard: edge.EdgeShard) -> None:
        self.folder = folder
        self.create = create
        self.name = create.collection_name
        self.shard = shard
        self.specs = vector_specs(create)
        self.lock = threading.Lock()
        self._operations = 0
        self._operations_flushed = 0
        self._operations_seen = 0
        self._flushed_at = 0.0

    def apply(self, operation: edge.UpdateOperation) -> int:
        """Applies and logs one operation; it survives the death of the process from here on. Returns its number."""
        with self.lock:
            self._operations += 1
            self.shard.update(operation)
            return self._operations

    def flush_when_quiet(self, now: float) -> None:
        """Flushes if nothing was written since the last call, or the last flush is long ago. `now` in seconds.

        A flush stops every call for as long as the disk takes for some hundred syncs, so it is kept out of a burst.
        """
        quiet = self._operations == self._operations_seen
        self._operations_seen = self._operations
        if quiet or now - self._flushed_at > FLUSH_DELAY_SECONDS_MAX:
            self._flushed_at = now
            self.flush()

    def flush(self) -> None:
        with self.lock:
            if self._operations_flushed != self._operations:
                self.shard.flush()
                self._operations_flushed = self._operations


class Store:
    """Raises FolderHeld if another process serves the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        (path / "collections").mkdir(parents=True, exist_ok=True)
        self._held = _hold(path / ".lock")
        aliases = path / "aliases.json"
        self.aliases: dict[str, str] = json.loads(aliases.read_text()) if aliases.exists() else {}
        self.collections: dict[str, Collection] = {}
        for folder in sorted((path / "collections").iterdir()):
            self._load(folder)
        self.aliases = {alias: name for alias, name in self.aliases.items() if name in self.collections}

    def _load(self, folder: Path) -> None:
        if not (folder / "collection").exists():
            shutil.rmtree(folder)  # a creation or a deletion that was cut short
            return
        create = collections_pb2.CreateCollection.FromString((folder / "collection").read_bytes())
        shard = edge.EdgeShard.load(str(folder / "shard"))
        self.collections[create.collection_name] = Collection(folder, create, shard)

    def get(self, name: str) -> Collection:
        """By its name or an alias. Raises NOT_FOUND."""
        collection = self.collections.get(self.aliases.get(name, name))
        if collection is None:
            raise not_found(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, create: collections_pb2.CreateCollection) -> None:
        config = engine_config(create)
        folder = self.path / "collections" / str(uuid.uuid4())
        (folder / "shard").mkdir(parents=True)
        shard = edge.EdgeShard.create(str(folder / "shard"), config)
        shard.flush()
        _replace(folder / "collection", create.SerializeToString())
        _sync(folder.parent)
        self.collections[create.collection_name] = Collection(folder, create, shard)

    def delete(self, name: str) -> bool:
        collection = self.collections.pop(name, None)
        if collection is None:
            return False
        with collection.lock:
            (collection.folder / "collection").unlink()  # from here on it is gone, whatever happens
            _sync(collection.folder)
            self.save_aliases({alias: to for alias, to in self.aliases.items() if to != name})
            collection.shard.close()
            shutil.rmtree(collection.folder)
        return True

    def save_aliases(self, aliases: dict[str, str]) -> None:
        """Replaces all aliases at once, on disk, then for the readers."""
        if aliases != self.aliases:
            _replace(self.path / "aliases.json", json.dumps(aliases).encode())
            self.aliases = aliases

    def flush_when_quiet(self, now: float) -> None:
        with self.lock:  # so that no collection is deleted meanwhile
            for collection in self.collections.values():
                collection.flush_when_quiet(now)

    def close(self) -> None:
        with self.lock:
            for collection in self.collections.values():
                collection.flush()
                collection.shard.close()
        os.close(self._held)


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 32).decode() or "unknown"
        os.close(handle)
        raise FolderHeld(f"{path.parent} is already served by another process (pid {holder})") from None
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def _replace(path: Path, content: bytes) -> None:
    """The file holds the old or the new content, also after a power cut."""
    fresh = path.with_name(path.name + ".new")
    with open(fresh, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
