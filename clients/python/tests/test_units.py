"""What needs no subnet: what is let through, kept, tried again, read and refused."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cabstand
from cabstand._commands import Commands
from cabstand._errors import from_status
from cabstand._guard import Acker, PositionGuard
from cabstand._opening import Retrier
from cabstand._placement import Health, Node
from cabstand._reasons import REASONS
from cabstand._replay import Continuation, PastTurn, ReplayLog
from cabstand._retry import Budget, decide, is_final
from cabstand._tensors import from_tensor, to_tensor, to_tensors
from cabstand._wire import model_pb2, session_pb2, tensor_pb2


def record(position: int, turn: int = 0, epoch: int = 1) -> session_pb2.Record:
    return session_pb2.Record(position=position, turn=turn, epoch=epoch)


class TestGuard:
    def test_lets_each_position_through_once(self) -> None:
        guard = PositionGuard()
        assert [guard.accept(record(n), 0, 1) for n in (0, 1, 1, 0, 2)] == [True, True, False, False, True]

    @pytest.mark.parametrize(
        ("bad", "field"),
        [(record(2), "position"), (record(-1), "position"), (record(1, turn=1), "turn"), (record(1, epoch=3), "epoch")],
    )
    def test_what_cannot_be_is_the_hosters_fault(self, bad: session_pb2.Record, field: str) -> None:
        guard = PositionGuard(1)
        with pytest.raises(cabstand.NodeError) as caught:
            guard.accept(bad, 0, 2)
        assert (caught.value.reason, caught.value.metadata["field"]) == ("NODE_BAD_REPLY", field)
        assert guard.next == 1

    def test_of_a_group_all_count_or_none(self) -> None:
        guard = PositionGuard()
        with pytest.raises(cabstand.CabstandError):
            guard.accept_all([record(0), record(2)], 0, 1)
        assert guard.next == 0
        assert [one.position for one in guard.accept_all([record(0), record(1)], 0, 1)] == [0, 1]

    def test_an_older_epoch_does_not_come_back(self) -> None:
        guard = PositionGuard()
        assert guard.accept(record(0, epoch=2), 0, 2)
        with pytest.raises(cabstand.CabstandError):
            guard.accept(record(1, epoch=1), 0, 2)


class TestAcker:
    def test_by_records_or_bytes_whichever_comes_first(self) -> None:
        acker = Acker()
        acker.records, acker.bytes = 3, 1000
        assert [acker.delivered(n, 10) for n in range(3)] == [None, None, 2]
        acker.sent(2)
        assert acker.delivered(3, 2000) == 3
        acker.sent(3)
        assert acker.turn_ended(4) == 4

    def test_asked_it_repeats_the_newest(self) -> None:
        acker = Acker()
        acker.records = 3
        assert acker.wanted() is None
        acker.delivered(0, 1)
        assert acker.wanted() == 0
        acker.sent(0)
        assert acker.wanted() == 0

    def test_none_where_none_are_needed(self) -> None:
        acker = Acker()
        assert [acker.delivered(0, 10**9), acker.turn_ended(1), acker.wanted()] == [None, None, None]


class TestReplayLog:
    @staticmethod
    def entry(position: int, size: int = 1) -> PastTurn:
        return PastTurn(position, position, session_pb2.TurnInput(), size)

    def test_what_is_given_up_is_missed_until_a_checkpoint_covers_it(self) -> None:
        log: ReplayLog[PastTurn] = ReplayLog(items=2)
        for position in (0, 2, 4, 6):
            log.append(self.entry(position))
        assert ([one.position for one in log.since()], log.complete) == ([4, 6], False)
        log.covered(2)
        assert not log.complete
        assert log.covered(5) is not None
        assert ([one.position for one in log.since()], log.complete) == ([6], True)

    def test_bytes_bound_it(self) -> None:
        log: ReplayLog[PastTurn] = ReplayLog(most_bytes=10)
        log.append(self.entry(0, 6))
        log.append(self.entry(1, 6))
        assert (len(log), log.complete, log.room) == (1, False, 4)

    def test_a_resume_brings_what_no_checkpoint_covers(self) -> None:
        kept = Continuation(1000)
        turn_input = session_pb2.TurnInput(prompt="a")
        kept.ended(0, 0, turn_input, False, session_pb2.Checkpoint(position=5, sealed=b"x"))
        kept.ended(1, 5, turn_input, False, None)
        assert not kept.offer(session_pb2.Checkpoint(position=9), 8), "ahead of what has arrived"
        made = kept.resume(2, turn_input, True, 7)
        assert (made.checkpoint.position, [one.turn for one in made.replay]) == (5, [1])
        assert (made.turn, made.delivered_position) == (2, 7)

    @pytest.mark.parametrize("lost", ["input", "live", "past"])
    def test_what_is_not_there_loses_the_session(self, lost: str) -> None:
        kept = Continuation(3)
        turn_input = session_pb2.TurnInput(prompt="a")
        if lost == "past":
            kept.ended(0, 0, None, False, None)
        with pytest.raises(cabstand.SessionError) as caught:
            kept.resume(1, None if lost == "input" else turn_input, lost != "live", 0)
        assert caught.value.reason == "SESSION_LOST"


class TestRetry:
    @pytest.mark.parametrize(
        ("reason", "opening", "again", "placing", "streaming"),
        [
            ("INPUT_SHAPE", "raise", "raise", "raise", "raise"),
            ("MODEL_UNKNOWN", "elsewhere", "raise", "raise", "raise"),
            ("HOSTER_FULL", "elsewhere", "wait", "wait", "resume"),
            ("DRAINING", "elsewhere", "resume", "wait", "resume"),
            ("NODE_UNREACHABLE", "elsewhere", "reattach", "wait", "reattach"),
            ("ENGINE_CRASHED", "elsewhere", "resume", "wait", "resume"),
            ("SESSION_EVICTED", "elsewhere", "resume", "raise", "resume"),
            ("POSITION_INVALID", "raise", "resume", "raise", "resume"),
            ("CREDENTIALS_EXPIRED", "raise", "raise", "raise", "raise"),
            ("TURN_POISONED", "raise", "raise", "raise", "raise"),
            ("EPOCH_FENCED", "raise", "raise", "raise", "raise"),
        ],
    )
    def test_by_reason_and_phase(self, reason: str, opening: str, again: str, placing: str, streaming: str) -> None:
        error = cabstand.CabstandError(reason)

        def decided(phase: Any, resumable: bool = False) -> str:
            made = decide(error, phase, attempts=1, most=3, resumable=resumable)
            return "reattach" if made.reattach else made.action

        assert (decided("opening"), decided("again", True)) == (opening, again)
        assert (decided("placing"), decided("streaming", True)) == (placing, streaming)

    def test_nothing_is_sent_again_once_records_are_out(self) -> None:
        for reason in REASONS:
            assert decide(cabstand.CabstandError(reason), "streaming").action == "raise"
            assert decide(cabstand.CabstandError(reason), "opening", attempts=3, most=3).action == "raise"

    def test_a_session_that_its_hoster_ended_goes_on_one_that_was_closed_does_not(self) -> None:
        for reason, action in (("evicted", "resume"), ("completed", "raise")):
            error = cabstand.CabstandError("SESSION_ENDED", metadata={"end_reason": reason})
            assert decide(error, "streaming", resumable=True).action == action

    def test_what_one_hoster_lacks_another_may_have(self) -> None:
        for problem, final in (("other_weights", False), ("forged", True)):
            assert is_final(cabstand.CabstandError("CHECKPOINT_INVALID", metadata={"problem": problem})) == final

    def test_the_budget_bounds_retries(self) -> None:
        now = [0.0]
        budget = Budget(cabstand.RetryConfig(budget=2, budget_per_second=1), clock=lambda: now[0])
        assert [budget.take() for _ in range(3)] == [True, True, False]
        now[0] = 1.0
        assert budget.take()

    def test_pauses_grow_to_their_ceiling(self) -> None:
        config = cabstand.RetryConfig(initial=0.1, max_interval=0.3)
        assert [config.pause(n, lambda: 1.0) for n in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.3])

    def test_options_are_checked(self) -> None:
        with pytest.raises(cabstand.CallerError, match=r"retry\.attempts: got 0"):
            cabstand.RetryConfig(attempts=0)
        with pytest.raises(cabstand.CallerError, match=r"timeouts\.first"):
            cabstand.Timeouts(first=0)


class TestOpening:
    async def test_a_hoster_that_ended_the_session_to_go_is_no_reason_to_give_up(self) -> None:
        """Nor is it that routers know no other one yet. Who gives up in the end is told what the hoster said."""
        retry = cabstand.RetryConfig(attempts=3, initial=0.001)
        core: Any = SimpleNamespace(retry=retry, budget=Budget(retry), emit=lambda *_, **__: None)
        retrier = Retrier(core)
        nobody, went = cabstand.CabstandError("NO_NODE"), cabstand.CabstandError("SESSION_EVICTED")
        assert (await retrier.after(went, "opening", None)).action == "elsewhere"
        assert (await retrier.after(nobody, "placing", None, told=went)).action == "wait"
        with pytest.raises(cabstand.SessionError) as raised:
            await retrier.after(nobody, "placing", None, told=went)
        assert raised.value is went


class TestHealth:
    def test_a_node_that_failed_is_avoided_for_a_while(self) -> None:
        now = [0.0]
        health = Health(clock=lambda: now[0])
        node = Node("a", "1", "a:1")
        unreachable = cabstand.CabstandError("NODE_UNREACHABLE")
        assert health.failed(node, unreachable)
        assert health.is_avoided(node)
        assert not health.is_avoided(Node("a", "2", "a:1")), "it was started again"
        now[0] = 31.0
        assert not health.is_avoided(node)
        for _ in range(3):
            health.failed(node, unreachable)
        assert health.is_broken(node)
        health.served(node)
        assert not health.is_broken(node)

    def test_what_something_on_the_way_made_is_not_reported_at_once(self) -> None:
        health = Health()
        doubtful = cabstand.CabstandError("NODE_BAD_REPLY", metadata={"grpc_status": "UNKNOWN"})
        node = Node("a", "1", "a:1")
        assert [health.failed(node, doubtful), health.failed(node, doubtful)] == [False, True]


class TestErrors:
    def test_each_class_has_its_exception(self) -> None:
        error = cabstand.CabstandError("HOSTER_FULL", "no slot", metadata={"a": "b"}, retry_after=0.5)
        assert isinstance(error, cabstand.OverloadError)
        assert (error.code, error.error_class, str(error)) == ("RESOURCE_EXHAUSTED", "overload", "HOSTER_FULL: no slot")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.reason, again.metadata, again.retry_after) == (
            cabstand.OverloadError,
            "HOSTER_FULL",
            {"a": "b"},
            0.5,
        )

    def test_details_are_read_from_the_trailer(self) -> None:
        def field(number: int, data: bytes) -> bytes:
            return bytes([number << 3 | 2, len(data)]) + data

        def detail(name: str, data: bytes) -> bytes:
            return field(3, field(1, f"type.googleapis.com/google.rpc.{name}".encode()) + field(2, data))

        info = field(1, b"NO_NODE") + field(2, b"cabstand") + field(3, field(1, b"cause") + field(2, b"no_nodes"))
        delay = field(1, bytes([1 << 3, 2]))
        status = b"\x08\x0e" + detail("ErrorInfo", info) + detail("RetryInfo", delay)
        error = from_status("UNAVAILABLE", "nobody", status)
        assert (error.reason, dict(error.metadata), error.retry_after) == ("NO_NODE", {"cause": "no_nodes"}, 2.0)
        newer = detail("ErrorInfo", field(1, b"BRAND_NEW") + field(2, b"cabstand"))
        assert from_status("UNAVAILABLE", "", newer).reason == "NODE_UNREACHABLE"
        assert from_status("UNAVAILABLE", "", b"\xff\xff").reason == "NODE_UNREACHABLE"

    @pytest.mark.parametrize(
        ("code", "reason"), [("UNKNOWN", "NODE_BAD_REPLY"), ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")]
    )
    def test_a_bare_status_means_what_the_protocol_says(self, code: str, reason: str) -> None:
        assert from_status(code, "", None).reason == reason


class TestTensors:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint16", "int64", "uint64", "bool"])
    def test_arrays_come_back_as_they_went(self, dtype: str) -> None:
        array = np.arange(6).reshape(2, 3).astype(dtype)
        sent = to_tensor("x", array.T)
        assert sent.dtype == tensor_pb2.DataType.Value(f"DATA_TYPE_{dtype.upper()}")
        back = from_tensor(sent)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array.T)
        assert not back.flags.writeable

    def test_any_byte_order_becomes_little_endian(self) -> None:
        assert to_tensor("x", np.array([1], dtype=">i4")).data == b"\x01\0\0\0"

    def test_text_scalars_and_empty_arrays(self) -> None:
        assert from_tensor(to_tensor("x", ["a", "b"])).tolist() == ["a", "b"]
        assert from_tensor(to_tensor("x", np.float32(2))).shape == ()
        assert from_tensor(to_tensor("x", np.zeros((2, 0), np.float32))).shape == (2, 0)

    def test_lists_become_what_the_model_declares(self) -> None:
        spec = model_pb2.TensorSpec(name="x", dtype=tensor_pb2.DATA_TYPE_FLOAT32)
        (sent,) = to_tensors([1, 2], [spec])
        assert (sent.name, sent.dtype) == ("x", tensor_pb2.DATA_TYPE_FLOAT32)

    @pytest.mark.parametrize("value", [b"RIFF", np.zeros(1, np.complex64), [object()], np.zeros((1,) * 9, np.int8)])
    def test_what_no_tensor_holds_is_refused_by_name(self, value: Any) -> None:
        with pytest.raises(cabstand.CallerError, match="audio"):
            to_tensor("audio", value)

    def test_one_array_needs_a_model_with_one_input(self) -> None:
        specs = [model_pb2.TensorSpec(name=name) for name in ("a", "b")]
        with pytest.raises(cabstand.CallerError, match="a, b"):
            to_tensors(np.zeros(1), specs)

    def test_a_reply_whose_bytes_do_not_fit_is_the_hosters_fault(self) -> None:
        bad = tensor_pb2.Tensor(name="x", dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=[2], data=b"1234")
        with pytest.raises(cabstand.NodeError):
            from_tensor(bad)


class TestCommands:
    """Numbers of commands, by what hosters are told that expect one of them."""

    def setup_method(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.open = False
        self.commands = Commands(self.send)

    def send(self, command: session_pb2.Command) -> bool:
        if self.open:
            self.told.append((command.sequence, command.name))
        return self.open

    async def run(self, *names: str) -> list[asyncio.Task[Any]]:
        tasks = [asyncio.create_task(self.commands.run(name, None)) for name in names]
        await asyncio.sleep(0)
        return tasks

    def opened(self, expected: int, guessed: bool = False) -> list[tuple[int, str]]:
        self.told.clear()
        self.open = True
        self.commands.opened(expected, guessed)
        return list(self.told)

    async def test_those_that_hosters_have_are_not_told_again(self) -> None:
        await self.run("a", "b", "c")
        assert self.opened(0) == [(0, "a"), (1, "b"), (2, "c")]
        self.commands.applied(0)
        assert self.opened(2) == [(2, "c")]

    async def test_after_a_take_over_they_follow_those_of_the_process_before(self) -> None:
        await self.run("a")
        assert self.opened(7, guessed=True) == [(7, "a")]
        await self.run("b")
        assert self.told[-1] == (8, "b")

    async def test_after_a_take_over_they_follow_what_the_next_hoster_expects_where_others_are_lost(self) -> None:
        results = await self.run("a", "b")
        assert self.opened(5, guessed=True) == [(5, "a"), (6, "b")]
        assert self.opened(3) == [(3, "a"), (4, "b")]
        self.commands.applied(3)
        self.commands.ended(session_pb2.CommandResult(sequence=3, value='"of a"'))
        assert await results[0] == "of a"
        assert self.opened(4) == [(4, "b")]
        await self.run("c")
        assert self.told[-1] == (5, "c")

    async def test_one_with_a_record_keeps_its_number(self) -> None:
        await self.run("a", "b")
        self.opened(0)
        self.commands.applied(0)
        # It has forgotten the record: no other one takes its number.
        assert self.opened(0) == [(1, "b")]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"model": ""}, "model"),
            ({"model": "m", "id": "a b"}, "id"),
            ({"model": "m", "id": "anonymous-1"}, "id"),
            ({"model": "m", "priority": 10}, "priority"),
        ],
    )
    def test_sessions_name_what_is_wrong(self, options: dict[str, Any], field: str) -> None:
        with pytest.raises(cabstand.CallerError) as caught:
            cabstand.connect("a:1").session(**options)
        assert caught.value.metadata["field"] == field

    @pytest.mark.parametrize("routers", [[], "http://a:1", "a"])
    def test_addresses(self, routers: Any) -> None:
        with pytest.raises(cabstand.CallerError, match="routers"):
            cabstand.connect(routers)


def test_reasons_are_those_of_the_protocol() -> None:
    page = Path(__file__).parents[3] / "docs" / "protocol.md"
    rows = [line.split("|")[1:4] for line in page.read_text().splitlines() if line.startswith("| `")]
    told = {
        name: (code, kind)
        for name, code, kind in (tuple(cell.strip(" `") for cell in row) for row in rows)
        if kind in ("caller", "overload", "node", "session", "auth", "fatal")
    }
    assert {str(reason): (row.code, row.error_class) for reason, row in REASONS.items()} == told


def test_importing_registers_nothing_of_google() -> None:
    """So that googleapis-common-protos can be imported, too, whichever comes first."""
    code = (
        "import cabstand, sys; from google.protobuf import descriptor_pool as d\n"
        "for name in ('google/rpc/status.proto', 'grpc/health/v1/health.proto'):\n"
        "    try: d.Default().FindFileByName(name)\n"
        "    except KeyError: continue\n"
        "    sys.exit(name)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=dict(os.environ))
