"""When somebody speaks in a recording, asked of hosters themselves: resuming.py ROUTERS KEY_FILE MODEL RECORDING.wav"""

import contextlib
import json
import os
import random
import struct
import sys
import time
import wave

import grpc
import jwt
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cabstand.v1 import hoster_pb2, hoster_pb2_grpc, router_pb2, router_pb2_grpc, session_pb2, tensor_pb2

PATIENCE = 60  # seconds without a new record
OPTIONS = [
    ("grpc.max_receive_message_length", 16 << 20),
    # A peer that says nothing any more is given up after 8 seconds. All of these are needed for that.
    *(("grpc.keepalive_time_ms", 5000), ("grpc.keepalive_timeout_ms", 3000)),
    *(("grpc.http2.ping_timeout_ms", 3000), ("grpc.http2.max_pings_without_data", 0)),
]
NODE_FAILED = ("UNAVAILABLE", "UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED")
GOES_ON = ("RESOURCE_EXHAUSTED", "CANCELLED", *NODE_FAILED)
GONE = ("SESSION_UNKNOWN", "SESSION_EVICTED", "CREDENTIALS_EXPIRED", "TICKET_INVALID")
NO_END = (session_pb2.END_REASON_EVICTED, session_pb2.END_REASON_MIGRATED, session_pb2.END_REASON_LOST)


def reason_of(error):
    """One of the protocol's table; empty where gRPC itself failed."""
    status, info = rpc_status.from_call(error), error_details_pb2.ErrorInfo()
    return info.reason if status and any(detail.Unpack(info) for detail in status.details) else ""


class Subnet:
    def __init__(self, routers, key_file):
        self.routers, self.channels = routers.split(","), {}
        with open(key_file) as file:
            self.key = json.load(file)

    def call(self, server, stub, method, request):
        """Each call has a token for its server. It is good for an hour, and so long its stream may last."""
        if server not in self.channels:
            self.channels[server] = grpc.insecure_channel(server, OPTIONS)
        key, timeout = self.key, None if method == "rpc_inference_stream" else 5
        claims = {"sub": key["principal"], "roles": key["roles"], "aud": server, "exp": int(time.time()) + 3600}
        token = jwt.encode(claims, jwt.PyJWK(key, "EdDSA").key, "EdDSA", {"kid": key["kid"]})
        call = getattr(stub(self.channels[server]), method)
        return call(request, timeout=timeout, metadata=[("authorization", f"Bearer {token}")])

    def router(self, method, request):
        return self.call(random.choice(self.routers), router_pb2_grpc.RouterServiceStub, method, request)

    def records(self, model, inputs):
        """Those of one turn, each once and in order, whichever hosters compute them."""
        session, owner = f"by-hand-{os.urandom(8).hex()}", os.urandom(16)
        epoch = served = 0  # that of the newest call, and of the newest that a hoster took up
        have, checkpoint = -1, None  # the newest record, and what is needed to go on elsewhere
        failed, progress = [], time.monotonic()
        while True:
            epoch += 1
            mine = {"session_id": session, "epoch": session_pb2.Epoch(counter=epoch, owner=owner)}
            lease, wish = None, {"model": model, "session_id": session, "resume": served > 0, "exclude": failed}
            try:
                lease = self.router("rpc_acquire", router_pb2.AcquireRequest(**wish)).lease
                request = hoster_pb2.InferenceStreamRequest(
                    **mine, durable=True, model=model, inputs=inputs, ticket=lease.ticket
                )
                if served:
                    request.resume.delivered_position, request.resume.served_epoch = have, served
                    if checkpoint:
                        request.resume.checkpoint.CopyFrom(checkpoint)

                def hoster(method, request, server=lease.node.address):
                    return self.call(server, hoster_pb2_grpc.HosterServiceStub, method, request)

                for answer in hoster("rpc_inference_stream", request):
                    notice, record = answer.notice, answer.record
                    if notice.HasField("opened"):
                        served, acks, acked = epoch, notice.opened.ack_every, have
                    elif notice.HasField("checkpoint") and notice.checkpoint.checkpoint.position <= have + 1:
                        checkpoint = notice.checkpoint.checkpoint
                    over = record.HasField("end_of_turn")
                    if over and record.end_of_turn.reason in NO_END or record.position > have + 1:
                        break  # that is the end of the session at this hoster, not of the turn
                    if answer.HasField("record") and record.position == have + 1:
                        yield record
                        have, failed, progress = record.position, [], time.monotonic()
                        if over:
                            with contextlib.suppress(grpc.RpcError):
                                hoster("rpc_close_session", hoster_pb2.CloseSessionRequest(**mine))
                            return
                    if have - acked >= acks or notice.HasField("ack_wanted"):
                        ack = hoster_pb2.SessionUpdateRequest(**mine, ack=hoster_pb2.Ack(position=have))
                        acked = hoster("rpc_session_update", ack) and have
            except grpc.RpcError as error:
                reason, code = reason_of(error), error.code().name
                if code not in GOES_ON and reason not in GONE or time.monotonic() - progress > PATIENCE:
                    raise
                # Those that failed are better than nobody.
                failed = [] if lease is None else failed
                if lease is not None and code in NODE_FAILED:
                    self.report(lease, reason or code, failed)
            time.sleep(random.uniform(0.05, 0.5))

    def report(self, lease, reason, failed):
        """Routers look for themselves; until they have, the node is left out."""
        node = {"node_id": lease.node.node_id, "incarnation": lease.node.incarnation}
        failed.append(router_pb2.NodeRef(**node))
        with contextlib.suppress(grpc.RpcError):
            self.router("rpc_report", router_pb2.ReportRequest(**node, lease_id=lease.lease_id, reason=reason))


def main(routers, key_file, model, recording):
    with wave.open(recording) as file:
        samples = file.readframes(file.getnframes())
    audio = tensor_pb2.Tensor(
        name="audio", dtype=tensor_pb2.DATA_TYPE_INT16, shape=[len(samples) // 2], data=samples
    )
    for record in Subnet(routers, key_file).records(model, [audio]):
        if record.HasField("chunk"):
            (speech,) = struct.unpack("<f", record.chunk.outputs[0].data)
            print(record.position, f"{speech:.4f}", flush=True)
    if record.end_of_turn.reason != session_pb2.END_REASON_COMPLETED:
        sys.exit(f"the turn was not finished: {record.end_of_turn}")


try:
    main(*sys.argv[1:])
except grpc.RpcError as error:
    sys.exit(f"{reason_of(error) or error.code().name}: {error.details()}")
