"""Checks a subnet with client.py, which has nothing but the protos.

Prints a line for each check and "N passed, N failed" at the end; exits 1 if any failed.
"""

import json
import os
import re
import sys
import tempfile
import traceback
import uuid
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

import client
from cabstand.v1 import (
    hoster_pb2,
    hoster_pb2_grpc,
    model_pb2,
    router_pb2,
    session_pb2,
    tensor_pb2,
)
from client import SECONDS, channel, records_of
from support import (
    ASSETS,
    CHECKS,
    FRAME,
    README,
    SUBNET,
    acquire,
    audio_float32,
    audio_int16,
    call,
    check,
    chunks,
    close_to,
    expected_probabilities,
    probability,
    refused,
    run,
    samples,
)


@check
def health_is_serving():
    services = {
        SUBNET["router"]: "cabstand.v1.RouterService",
        **{hoster: "cabstand.v1.HosterService" for hoster in SUBNET["hosters"]},
    }
    for address, service in services.items():
        with channel(address) as connection:
            stub = health_pb2_grpc.HealthStub(connection)
            for name in ("", service):
                answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
            unknown = health_pb2.HealthCheckRequest(service="nothing")
            refused(
                lambda: stub.Check(unknown, timeout=SECONDS),
                "SERVICE_UNKNOWN",
                grpc.StatusCode.NOT_FOUND,
            )


@check
def reflection_shows_the_contract():
    for address, proto, service in (
        (SUBNET["router"], router_pb2, "RouterService"),
        (SUBNET["hosters"][0], hoster_pb2, "HosterService"),
    ):
        with channel(address) as connection:
            database = ProtoReflectionDescriptorDatabase(connection)
            assert f"cabstand.v1.{service}" in database.get_services()
            assert "grpc.health.v1.Health" in database.get_services()
            file = database.FindFileContainingSymbol(f"cabstand.v1.{service}")
            (shown,) = [found for found in file.service if found.name == service]
            mine = descriptor_pb2.ServiceDescriptorProto()
            proto.DESCRIPTOR.services_by_name[service].CopyToProto(mine)

            def methods(described):
                return {
                    (
                        method.name,
                        method.input_type,
                        method.output_type,
                        method.client_streaming,
                        method.server_streaming,
                    )
                    for method in described.method
                }

            assert methods(shown) == methods(mine)
            # A pool takes a file only with all that it refers to.
            built = DescriptorPool(database).FindServiceByName(f"cabstand.v1.{service}")
            assert {method.name for method in built.methods} == {method.name for method in mine.method}


@check
def grpcurl_describes_what_reflection_lists():
    for address in (SUBNET["router"], SUBNET["hosters"][0]):
        listed = run(["grpcurl", "-plaintext", address, "list"]).split()
        assert "grpc.health.v1.Health" in listed, listed
        assert "grpc.reflection.v1.ServerReflection" in listed, listed
        for name in listed:
            shown = run(["grpcurl", "-plaintext", address, "describe", name])
            assert f"{name} is a service:" in shown, shown
    for name in ("cabstand.v1.Record", "cabstand.v1.RegisterRequest", "google.rpc.ErrorInfo"):
        run(["grpcurl", "-plaintext", SUBNET["hosters"][0], "describe", name])


@check
def buf_curl_lists_methods():
    url = f"http://{SUBNET['hosters'][0]}"
    methods = run(["buf", "curl", "--protocol=grpc", "--http2-prior-knowledge", "--list-methods", url]).split()
    assert "cabstand.v1.HosterService/rpc_session_stream" in methods, methods


@check
def the_readme_calls_with_grpcurl():
    (line,) = re.findall(r"^```sh\n(grpcurl .*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert line.count("127.0.0.1:50051") == 1, line
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder, ".cabstand/keys/client.token")
        token.parent.mkdir(parents=True)
        token.write_text(SUBNET["token"])
        here = line.replace("127.0.0.1:50051", SUBNET["hosters"][0])
        said = run(["bash", "-c", here], cwd=folder)
    texts = re.findall(r'"text": "(.*?)"', said)
    assert "".join(texts).split() == ["T", "AE1", "K", "S", "IY0"], said


@check
def info_tells_what_models_take():
    with channel(SUBNET["hosters"][0]) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)
        info = call(stub.rpc_info, hoster_pb2.InfoRequest())
    models = {model.offer.name: model for model in info.models}
    bundled = {"silero-vad", "g2p", "text-orientation", "plasma", "voice-events"}
    assert set(models) == bundled, set(models)
    for model in models.values():
        assert model.state == model_pb2.MODEL_STATE_READY, model
    silero = models["silero-vad"]
    assert silero.takes_live_input and not silero.takes_prompt
    (audio,) = silero.inputs
    assert (audio.name, audio.dtype, list(audio.shape)) == (
        "audio",
        tensor_pb2.DATA_TYPE_FLOAT32,
        [-1],
    )
    assert audio.audio.sample_rate == 16000
    assert json.loads(silero.parameters)["sample_rate"]["default"] == 16000
    plasma = models["plasma"]
    assert (plasma.offer.kind, plasma.survival) == ("module", model_pb2.SURVIVAL_REPLAY), plasma
    commands = {command.name: json.loads(command.arguments) for command in plasma.commands}
    assert commands["set_prompt"]["properties"]["prompt"]["type"] == "string", commands
    assert info.limits.max_message_bytes > 0


@check
def g2p_spells_words_as_its_reference():
    words = json.loads((ASSETS / "g2p-words.json").read_text())["words"][:20]
    lease = acquire("g2p")
    with channel(lease.node.address) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)
        for number, entry in enumerate(words):
            request = hoster_pb2.InferenceStreamRequest(
                model="g2p",
                prompt=entry["word"],
                # Good for one session.
                ticket=lease.ticket if number == 0 else "",
            )
            records = records_of(call(stub.rpc_inference_stream, request))
            spoken = [record.chunk.text for record in chunks(records)]
            assert "".join(spoken) == entry["phonemes"], (entry, spoken)
            # As docs/protocol.md shows it.
            assert all(text.startswith(" ") for text in spoken[1:]), spoken


@check
def silero_hears_what_its_reference_hears():
    frames = 60
    for audio in (audio_float32, audio_int16):
        records = list(
            client.infer(
                SUBNET["router"], "silero-vad", SUBNET["token"], inputs=[audio(samples(frames))]
            )
        )
        close_to([probability(r) for r in chunks(records)], expected_probabilities(frames))


@check
def a_named_session_keeps_its_state_over_turns():
    frames, per_turn = 60, 20
    pcm = samples(frames)
    lease = acquire("silero-vad")
    session = dict(
        session_id=f"python-{uuid.uuid4()}",
        epoch=session_pb2.Epoch(counter=1, owner=os.urandom(16)),
    )
    with channel(lease.node.address) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)
        values, first = [], 0
        for turn in range(frames // per_turn):
            size = per_turn * FRAME * 2
            request = hoster_pb2.InferenceStreamRequest(
                **session,
                keep_session=True,
                turn=turn,
                model="silero-vad" if turn == 0 else "",
                ticket=lease.ticket if turn == 0 else "",
                inputs=[audio_int16(pcm[turn * size : (turn + 1) * size])],
            )
            records = records_of(call(stub.rpc_inference_stream, request))
            values += [probability(record) for record in chunks(records, turn, first)]
            first += len(records)
        close_to(values, expected_probabilities(frames))
        status = call(
            stub.rpc_session_status,
            hoster_pb2.SessionStatusRequest(session_id=session["session_id"]),
        )
        assert (status.turn, status.position) == (turn, first), status
        refused(
            lambda: call(
                stub.rpc_session_status,
                hoster_pb2.SessionStatusRequest(session_id=session["session_id"]),
                token=SUBNET["other_token"],
            ),
            "SESSION_UNKNOWN",
            grpc.StatusCode.NOT_FOUND,
        )
        closed = call(stub.rpc_close_session, hoster_pb2.CloseSessionRequest(**session))
        assert closed.reason == session_pb2.END_REASON_COMPLETED, closed
        facts = refused(
            lambda: records_of(call(stub.rpc_inference_stream, request)),
            "SESSION_ENDED",
            grpc.StatusCode.FAILED_PRECONDITION,
        )
        assert facts["end_reason"] == "completed", facts


@check
def a_durable_session_is_attached_again():
    """Its reader leaves in the middle and comes back: nothing is lost, nothing comes twice."""
    frames = 60
    lease = acquire("silero-vad")
    session = dict(
        session_id=f"python-{uuid.uuid4()}",
        epoch=session_pb2.Epoch(counter=1, owner=os.urandom(16)),
    )
    with channel(lease.node.address) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)

        def stream(start):
            return call(
                stub.rpc_inference_stream,
                hoster_pb2.InferenceStreamRequest(
                    **session,
                    durable=True,
                    turn=0,
                    model="silero-vad",
                    inputs=[audio_int16(samples(frames))],
                    from_position=start,
                ),
            )

        broken, records = stream(0), []
        for event in broken:
            if event.WhichOneof("event") == "record":
                records.append(event.record)
            if len(records) == 7:
                break
        broken.cancel()
        ack = hoster_pb2.SessionUpdateRequest(**session, ack=hoster_pb2.Ack(position=6))
        call(stub.rpc_session_update, ack)
        records += records_of(stream(7))
        close_to([probability(r) for r in chunks(records)], expected_probabilities(frames))
        facts = refused(
            lambda: records_of(stream(3)), "POSITION_INVALID", grpc.StatusCode.OUT_OF_RANGE
        )
        assert facts["field"] == "from_position", facts
        call(stub.rpc_close_session, hoster_pb2.CloseSessionRequest(**session))


@check
def live_audio_streams_both_ways():
    frames = 40
    pcm = samples(frames)
    part = FRAME * 2
    lease = acquire("silero-vad")
    with channel(lease.node.address) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)
        heard = []

        def messages():
            yield hoster_pb2.SessionStreamRequest(
                open=hoster_pb2.Open(model="silero-vad", ticket=lease.ticket)
            )
            yield hoster_pb2.SessionStreamRequest(turn=hoster_pb2.Turn(turn=0, live=True))
            for number in range(frames):
                yield hoster_pb2.SessionStreamRequest(
                    input=session_pb2.LiveInput(
                        turn=0,
                        part=number,
                        inputs=[audio_int16(pcm[number * part : (number + 1) * part])],
                        last=number == frames - 1,
                    )
                )

        closed, accepted = None, 0
        for event in call(stub.rpc_session_stream, messages()):
            kind = event.WhichOneof("event")
            if kind == "record":
                heard.append(event.record)
            elif kind == "notice" and event.notice.WhichOneof("what") == "accepted":
                assert event.notice.accepted.next_part >= accepted
                accepted = event.notice.accepted.next_part
            elif kind == "closed":
                closed = event.closed
        close_to([probability(r) for r in chunks(heard)], expected_probabilities(frames))
        assert closed is not None and closed.reason == session_pb2.END_REASON_COMPLETED, closed
        assert accepted == frames, accepted


@check
def errors_say_what_is_wrong():
    with channel(SUBNET["hosters"][0]) as connection:
        stub = hoster_pb2_grpc.HosterServiceStub(connection)

        def turn(**fields):
            request = hoster_pb2.InferenceStreamRequest(**fields)
            return lambda: records_of(call(stub.rpc_inference_stream, request))

        wrong = audio_float32(samples(1))
        wrong.shape[:] = [1, FRAME]
        facts = refused(
            turn(model="silero-vad", inputs=[wrong]),
            "INPUT_RANK",
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        assert facts["field"] == "tensor audio shape", facts
        assert facts["expected"] == "[samples]", facts
        refused(turn(model="nothing"), "MODEL_UNKNOWN", grpc.StatusCode.NOT_FOUND)
        anonymous = hoster_pb2.InfoRequest()
        refused(
            lambda: stub.rpc_info(anonymous, timeout=SECONDS),
            "CREDENTIALS_MISSING",
            grpc.StatusCode.UNAUTHENTICATED,
        )
        refused(
            lambda: call(stub.rpc_info, anonymous, token="a.b.c"),
            "CREDENTIALS_MALFORMED",
            grpc.StatusCode.UNAUTHENTICATED,
        )
        refused(
            lambda: call(stub.rpc_load_model, hoster_pb2.LoadModelRequest(model="g2p")),
            "PERMISSION_DENIED",
            grpc.StatusCode.PERMISSION_DENIED,
        )


def main():
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok   {name}", flush=True)
        except Exception:  # noqa: BLE001 (a failed check must not hide the others)
            failed += 1
            print(f"FAIL {name}", flush=True)
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
