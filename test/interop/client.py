"""A small client of Cabstand made from its protos alone, as docs/protocol.md describes them.

It needs `grpcio`, `googleapis-common-protos` and the stubs that `grpc_tools.protoc` makes of proto/; run.sh
here shows how. As a program it asks a model for the answer to a prompt:

    python client.py --router 127.0.0.1:50050 --token "$TOKEN" g2p hello

The calls are without TLS, so they belong on one machine: a bearer token that others can read is theirs.
Elsewhere `channel` is the place for `grpc.secure_channel`.
"""

import argparse

import grpc
from google.rpc import error_details_pb2, status_pb2

from cabstand.v1 import hoster_pb2, hoster_pb2_grpc, router_pb2, router_pb2_grpc, tensor_pb2

# How long a call may take, with all that it streams.
SECONDS = 20


def channel(address):
    """A connection to a router or hoster, to be used in `with`. `address` is HOST:PORT."""
    return grpc.insecure_channel(address)


def call(method, request, token):
    """Calls a method of a stub. Answers a message, or an iterator of them where the method streams.

    Raises grpc.RpcError: at once, or from the iterator; `error_info` tells why.
    """
    return method(request, metadata=[("authorization", f"Bearer {token}")], timeout=SECONDS)


def error_info(error):
    """The google.rpc.ErrorInfo of a failed call: `reason` is the one to act on (docs/protocol.md), and
    `metadata` has the facts of the case. None for a failure that no service answered."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return None


def acquire(router, model, token):
    """A place for one session of `model`: `lease.node.address` is the hoster, and `lease.ticket` goes into
    the request that opens the session there."""
    with channel(router) as connection:
        stub = router_pb2_grpc.RouterServiceStub(connection)
        return call(stub.rpc_acquire, router_pb2.AcquireRequest(model=model), token).lease


def tensor(name, dtype, data, shape):
    """A tensor of `dtype` ("float32", "int16", ...). `data` has its elements row by row, little-endian: for
    a NumPy array `array.tobytes()` on any common machine."""
    return tensor_pb2.Tensor(
        name=name,
        dtype=tensor_pb2.DataType.Value(f"DATA_TYPE_{dtype.upper()}"),
        shape=shape,
        data=data,
    )


def records_of(stream):
    """The records of a stream that has ended, without the notices between them."""
    return [event.record for event in stream if event.WhichOneof("event") == "record"]


def infer(router, model, token, **turn):
    """Runs one turn in a session of its own and yields its records as they come; the last one is
    `end_of_turn`. `turn` has fields of InferenceStreamRequest: prompt, inputs, parameters."""
    lease = acquire(router, model, token)
    with channel(lease.node.address) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)
        request = hoster_pb2.InferenceStreamRequest(model=model, ticket=lease.ticket, **turn)
        for event in call(stub.rpc_inference_stream, request, token):
            if event.WhichOneof("event") == "record":
                yield event.record


def main():
    options = argparse.ArgumentParser(description="Asks a model for the answer to a prompt.")
    options.add_argument("--router", default="127.0.0.1:50050", help="HOST:PORT")
    options.add_argument("--token", required=True, help="a bearer token")
    options.add_argument("model")
    options.add_argument("prompt")
    given = options.parse_args()
    for record in infer(given.router, given.model, given.token, prompt=given.prompt):
        if record.WhichOneof("body") == "chunk":
            print(record.chunk.text, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
