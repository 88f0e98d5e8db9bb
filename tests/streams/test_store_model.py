"""The store against a model of it, by whatever requests hypothesis thinks of, in small segments and journals."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.storage.store import Store
from tests.streams.model import TTL, Chance, Model, Op, differences, kept, misnamed, perform, put_back

NAMES = [f"oak/{letter}" for letter in "abcde"]
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about what a disk does
SIZES = {"most_open": 2, "idle": 2}


class Streams(RuleBasedStateMachine):
    """Every rule asks both and compares the answers; afterwards both have to hold the same."""

    @initialize(journal=st.sampled_from([1, 400, 3000]), segment=st.sampled_from([40, 300]), seed=st.integers(0, 9999))
    def begin(self, journal, segment, seed):
        self.loop = asyncio.new_event_loop()
        self.folder, self.now = Path(tempfile.mkdtemp(prefix="streams-", dir=QUICK)), 1_000_000.0
        self.sizes = SIZES | {"journal_size": journal, "segment_size": segment}
        self.model, self.chance = Model(), Chance(seed, NAMES)
        self.store = None
        self.run(self.open())

    @rule(count=st.integers(1, 6))
    def ask(self, count):
        for _ in range(count):
            op = self.chance.op(self.model)
            assert (self.run(perform(self.store, op)), op) == (self.model.apply(op), op)

    @rule(epoch=st.integers(0, 3), seq=st.integers(0, 4), name=st.sampled_from(NAMES))
    def produce(self, epoch, seq, name):
        there = self.model.streams.get(name)
        kind = there.kind if there else "json"
        op = Op("append", name, kind, (b'"p"',), producer=(epoch, seq))
        assert self.run(perform(self.store, op)) == self.model.apply(op)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=2, unique=True))
    def ask_at_once(self, names):
        """Of several streams, so that they share a batch; each is asked for one thing."""
        wanted = [
            Op("append", name, self.model.streams[name].kind, (b'"once"',)) for name in names if self.is_open(name)
        ]
        assert self.run(self.at_once(wanted)) == [self.model.apply(op) for op in wanted]

    @rule(data=st.data(), name=st.sampled_from(NAMES), most=st.integers(1, 9), size=st.integers(1, 200))
    def read(self, data, name, most, size):
        there = self.model.streams.get(name)
        if there is None or there.retain:
            return
        at = data.draw(st.integers(0, len(there.messages)))
        forward, backward = self.run(self.pages(name, there.offset(at), most, size))
        mark = b"," if there.kind == "json" else b""
        count = forward.end.messages - at
        assert forward.data == mark.join(there.messages[at : at + count]) and forward.end == there.offset(at + count)
        assert count <= most and (count or at == len(there.messages))
        assert count <= 1 or sum(map(len, there.messages[at : at + count])) <= size
        assert count in (most, len(there.messages) - at) or sum(map(len, there.messages[at : at + count + 1])) > size
        begun = backward.start.messages
        assert backward.data == mark.join(there.messages[begun:at]) and backward.start == there.offset(begun)
        assert at - begun <= most and (begun < at or at == 0)
        assert at - begun in (1, most) or sum(map(len, there.messages[begun:at])) <= size or begun == 0

    @rule()
    def wait(self):
        self.now += TTL * 2
        self.model.expire()
        for name in NAMES:
            self.run(self.store.find(name))

    @rule()
    def restart(self):
        self.run(self.store.close())
        self.run(self.open())
        assert self.run(misnamed(self.store, self.model)) == []

    @rule()
    def crash(self):
        """What a kill leaves behind while nothing is asked for and nothing is laid into files."""
        self.run(self.store.settle())
        files = kept(self.folder)
        self.run(self.store.close())
        put_back(self.folder, files)
        self.run(self.open())
        assert self.run(misnamed(self.store, self.model)) == []

    @precondition(lambda self: self.store)
    @invariant()
    def holds_the_same(self):
        assert self.run(differences(self.store, self.model, NAMES)) == []

    def teardown(self):
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def open(self):
        self.store = Store(self.folder, clock=lambda: self.now, **self.sizes)

    async def pages(self, name, at, most, size):
        stream = await self.store.find(name)
        return await self.store.read(stream, at, most, size), await self.store.before(stream, at, most, size)

    async def at_once(self, wanted):
        return await asyncio.gather(*(perform(self.store, op) for op in wanted))

    def is_open(self, name):
        return name in self.model.streams and not self.model.streams[name].is_soft_deleted

    def run(self, work):
        return self.loop.run_until_complete(work)


TestStreams = Streams.TestCase
TestStreams.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
