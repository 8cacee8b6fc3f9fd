"""Qdrant's own engine (qdrant-edge), in this process, behind Qdrant's gRPC API."""
