"""A random schedule of faults against a subnet, each stream compared with an undisturbed one.

    python -m tests.faults --faults 300 --seed 7
    python -m tests.faults --faults 300 --seed 7 --gateways 2

The schedule is the one of the TypeScript client (test/faults/schedule.ts): engines and hosters are killed and stopped,
hosters are told to end, connections are reset and swallowed, routers start again, while streams of several kinds run.
Prints what was lost, came twice or was wrong, and exits 1 unless all of it is 0.

With gateways every other stream goes through one, and every third fault strikes one: SIGKILL, SIGTERM or SIGSTOP. Such
a stream goes on through another gateway, like the others at another hoster.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import random
import sys
import time
from collections import Counter

import cabstand
from tests.hurt import Board, HurtSubnet
from tests.scripts import KINDS, MODELS, Observed, Script, Verdict, compare, make_script, play

# Hosters need long to start on a busy machine, and often there is none.
TIMEOUTS = cabstand.Timeouts(recover=900, place=900, close=10)
RETRY = cabstand.RetryConfig(attempts=400, budget=4000, budget_per_second=400)
_LONGEST_FAULT = 30
"""Seconds; with so many for each fault a schedule that has not come to its end has failed."""


class Schedule:
    def __init__(
        self,
        subnet: HurtSubnet,
        client: cabstand.Client,
        by_gateway: cabstand.Client | None,
        faults: int,
        streams: int,
        seed: int,
    ) -> None:
        self.subnet = subnet
        self.client = client
        self.by_gateway = by_gateway
        self.through = 0
        """Sessions that went through a gateway."""
        self.faults = faults
        self.streams = streams
        self.seed = seed
        self.struck: Counter[str] = Counter()
        self.verdict = Verdict()
        self.done = 0
        self.bad: list[str] = []
        self.gaps: list[float] = []
        self.over = asyncio.Event()
        self.board = Board(streams)
        self.references: dict[str, Observed] = {}
        self.began = time.monotonic()

    async def run(self) -> bool:
        scripts = [
            make_script(KINDS[number % len(KINDS)], number % 18, self.subnet.assets) for number in range(self.streams)
        ]
        for script in {one.name: one for one in scripts}.values():
            async with self.client.session(script.model) as session:
                self.references[script.name] = await play(script, session)
            if self.references[script.name].error is not None:
                raise RuntimeError(f"{script.name} fails undisturbed: {self.references[script.name].error}")
        self.began = time.monotonic()
        streams = [asyncio.create_task(self.stream(script, number)) for number, script in enumerate(scripts)]
        try:
            await self.hurt()
            self.over.set()
            self.bad += await self.subnet.mend()
            await asyncio.gather(*streams)
        finally:
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
        return self.verdict.good and not self.bad and sum(self.struck.values()) >= self.faults

    async def stream(self, script: Script, number: int) -> None:
        """Plays a script again and again, a session each time, until the faults are over."""
        draw = random.Random(f"{self.seed} {script.name} {number}")

        async def pause() -> None:
            await asyncio.sleep(draw.uniform(0, 0.05))

        def heard(event: str, facts: dict[str, object]) -> None:
            gap = facts.get("gap")
            if event == "recovered" and isinstance(gap, float):
                self.gaps.append(gap)

        # Every other one, and with enough of them of each kind some.
        through = (number + number // len(KINDS)) % 2 == 0
        client = self.by_gateway if self.by_gateway is not None and through else self.client
        while not self.over.is_set():
            buffered = draw.choice((1, 8, 64))
            session = client.session(script.model, on_event=heard, max_buffered=buffered)

            async def at_chunk(session: cabstand.Session = session) -> None:
                self.board.record(number, script.model, session.hoster or "")

            async with session:
                seen = await play(script, session, pause=pause, at_chunk=at_chunk)
                self.board.over(number)
            verdict = compare(seen, self.references[script.name])
            self.verdict.add(verdict)
            self.done += 1
            self.through += client is self.by_gateway
            if not verdict.good:
                self.bad.append(f"{script.name} (session {session.id}): {verdict} {seen.error!r}")
                sys.stdout.write(f"BAD {self.bad[-1]}\n")

    async def hurt(self) -> None:
        told = time.monotonic()
        until = self.began + self.faults * _LONGEST_FAULT + 300
        while sum(self.struck.values()) < self.faults and time.monotonic() < until:
            fault = await self.subnet.strike(self.seed, self.faults, self.board)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                sys.stdout.write(f"{self}\n")
                sys.stdout.flush()
            if "fault" not in fault:
                await asyncio.sleep(0.05)
                continue
            if fault["fault"].endswith("-engine"):
                self.board.struck(fault["hoster"], fault["model"])
            self.struck[fault["fault"]] += 1
            await asyncio.sleep(fault["afterMs"] / 1000)

    def gap(self, share: float) -> str:
        gaps = sorted(self.gaps)
        return f"{gaps[int(share * (len(gaps) - 1))] * 1000:.0f} ms" if gaps else "none"

    def __str__(self) -> str:
        struck = ", ".join(f"{count} {kind}" for kind, count in self.struck.most_common())
        found = self.verdict
        return (
            f"{time.monotonic() - self.began:.0f} s: {sum(self.struck.values())} of {self.faults} faults ({struck}), "
            f"{self.done} sessions with {found.chunks} chunks, {len(self.gaps)} recoveries (gap p50 {self.gap(0.5)}, "
            f"p95 {self.gap(0.95)}, longest {self.gap(1)}): "
            f"{found.lost} lost, {found.twice} twice, {found.wrong} wrong, {found.unfinished} unfinished"
            + (f"; {self.through} of these through gateways" if self.by_gateway else "")
        )


async def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--faults", type=int, default=20, help="that strike a running stream")
    options.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options.add_argument("--streams", type=int, default=12, help="at once")
    options.add_argument("--hosters", type=int, default=3)
    options.add_argument("--gateways", type=int, default=0, help="that streams go through, too, and that are struck")
    given = options.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    subnet = await HurtSubnet.start(hosters=given.hosters, gateways=given.gateways, hosterConfig={"only": MODELS})
    try:
        async with contextlib.AsyncExitStack() as stack:
            connect = functools.partial(cabstand.connect, key=subnet.key, retry=RETRY)
            client = await stack.enter_async_context(connect(subnet.routers, timeouts=TIMEOUTS))
            by_gateway = None
            if subnet.gateways:
                by_gateway = await stack.enter_async_context(connect(hosters=subnet.gateways, timeouts=TIMEOUTS))
            schedule = Schedule(subnet, client, by_gateway, given.faults, given.streams, given.seed)
            good = await schedule.run()
            sys.stdout.write(f"{schedule}\n")
            for line in schedule.bad:
                sys.stdout.write(f"{line}\n")
            return 0 if good else 1
    finally:
        await subnet.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
