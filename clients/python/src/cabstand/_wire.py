"""The generated modules, under short names. Where a checkout has none, generate.py makes them."""

from cabstand._proto.cabstand.v1 import hoster_pb2, model_pb2, router_pb2, session_pb2, tensor_pb2

__all__ = ["hoster_pb2", "model_pb2", "router_pb2", "session_pb2", "tensor_pb2"]
