"""When somebody speaks in a recording: client.py GATEWAY KEY_FILE MODEL RECORDING.wav"""

import json
import struct
import sys
import time
import wave

import grpc
import jwt
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cabstand.v1 import hoster_pb2, hoster_pb2_grpc, session_pb2, tensor_pb2


def token(key_file, server):
    """Good for one server and five minutes; so long its streams may last."""
    with open(key_file) as file:
        key = json.load(file)
    claims = {"sub": key["principal"], "roles": key["roles"], "aud": server, "exp": int(time.time()) + 300}
    return jwt.encode(claims, jwt.PyJWK(key, "EdDSA").key, "EdDSA", {"kid": key["kid"]})


def main(gateway, key_file, model, recording):
    with wave.open(recording) as file:
        samples = file.readframes(file.getnframes())
    audio = tensor_pb2.Tensor(
        name="audio", dtype=tensor_pb2.DATA_TYPE_INT16, shape=[len(samples) // 2], data=samples
    )
    request = hoster_pb2.InferenceStreamRequest(model=model, inputs=[audio])
    end = None
    with grpc.insecure_channel(gateway, [("grpc.max_receive_message_length", 16 << 20)]) as channel:
        for answer in hoster_pb2_grpc.HosterServiceStub(channel).rpc_inference_stream(
            request, timeout=120, metadata=[("authorization", f"Bearer {token(key_file, gateway)}")]
        ):
            if answer.record.HasField("chunk"):
                (speech,) = struct.unpack("<f", answer.record.chunk.outputs[0].data)
                print(answer.record.position, f"{speech:.4f}")
            elif answer.record.HasField("end_of_turn"):
                end = answer.record.end_of_turn
    if end is None or end.reason != session_pb2.END_REASON_COMPLETED:
        sys.exit(f"the turn was not finished: {end}")


try:
    main(*sys.argv[1:])
except grpc.RpcError as error:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        sys.exit(f"{info.reason}: {status.message}")
    sys.exit(f"{error.code().name}: {error.details()}")
