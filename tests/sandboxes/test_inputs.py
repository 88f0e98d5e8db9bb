"""What a command is told on its standard input, as a file of frames: whole, in order, each key once."""

import os
import subprocess
import sys
import time
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes import inputs
from sandboxes.inputs import Feed, InputClosed, add


class Reader:
    """The end of a pipe that a command would have, and the feed into it."""

    def __init__(self, path):
        self.end, writing = os.pipe()
        os.set_blocking(self.end, False)
        self.feed = Feed(path, writing)

    def heard(self):
        """What has come by now, less the line that opens the gate."""
        data = b""
        while True:
            self.feed.go_on()
            try:
                block = os.read(self.end, 1 << 20)
            except BlockingIOError:
                return data.removeprefix(b"\n")
            if not block:
                return data.removeprefix(b"\n")
            data += block

    def close(self):
        os.close(self.end)
        if not self.feed.over:
            os.close(self.feed.fd)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "input")


@pytest.fixture
def reader(path):
    reader = Reader(path)
    yield reader
    reader.close()


def test_each_key_is_said_once_and_the_first_time_counts(path, reader):
    for key, data in (("a", b"one"), ("b", b""), ("a", b"other"), ("c", b"three")):
        add(path, key, data)
    assert reader.heard() == b"onethree"
    add(path, "a", b"again")
    assert reader.heard() == b""


def test_the_file_is_its_owners_alone(path):
    add(path, "a", b"one")
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_the_end_comes_after_what_was_said(path, reader):
    add(path, "a", b"one")
    add(path, "", b"")
    add(path, "", b"")
    add(path, "a", b"one")
    with pytest.raises(InputClosed):
        add(path, "b", b"two")
    assert reader.heard() == b"one" and reader.feed.over


@pytest.mark.parametrize("lost", range(1, 9 + len(b"half said")))
def test_what_was_half_said_is_never_heard_and_is_cut_by_the_next(path, reader, lost):
    add(path, "a", b"one")
    add(path, "b", b"half said")
    os.truncate(path, os.path.getsize(path) - lost)
    assert reader.heard() == b"one"
    add(path, "c", b"three")
    assert reader.heard() == b"three"


def test_nobody_reads_while_somebody_adds(path, reader):
    add(path, "a", b"one")
    with open(path, "rb") as file:
        inputs.fcntl.flock(file, inputs.fcntl.LOCK_EX)
        assert reader.heard() == b""
    assert reader.heard() == b"one"


def test_a_reader_that_has_gone_ends_the_feed(path):
    end, writing = os.pipe()
    feed = Feed(path, writing)
    os.close(end)
    add(path, "a", b"one")
    feed.go_on()
    feed.go_on()
    assert feed.over and not feed.is_full


def test_more_than_a_pipe_holds_waits_until_it_is_taken(path, reader):
    add(path, "a", b"x" * 300_000)
    add(path, "b", b"y")
    reader.feed.go_on()
    assert reader.feed.is_full
    assert reader.heard() == b"x" * 300_000 + b"y" and not reader.feed.is_full


def test_many_who_say_the_same_at_once_say_it_once(path, reader):
    crowd = [Thread(target=add, args=(path, f"k{number % 5}", b"%d" % (number % 5))) for number in range(40)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert sorted(reader.heard()) == sorted(b"01234")


def test_senders_that_are_killed_leave_nothing_that_cannot_be_read(path, reader):
    """Whatever moment each is killed at: what is heard is whole, and what comes later arrives."""
    source = f"""
import sys; sys.path.insert(0, {os.getcwd()!r})
from sandboxes.inputs import add
number = 0
while True:
    number += 1
    add({path!r}, sys.argv[1] + str(number), (sys.argv[1] * 20_000 + "\\n").encode())
"""
    heard = b""
    for name in "abc":
        with subprocess.Popen([sys.executable, "-c", source, name]) as sender:
            end = time.monotonic() + 20
            while name.encode() not in heard and time.monotonic() < end:
                heard += reader.heard()
            sender.kill()
    add(path, "last", b"last\n")
    heard += reader.heard()
    *lines, last, rest = heard.split(b"\n")
    assert (last, rest) == (b"last", b"")
    assert {(len(line), len(set(line))) for line in lines} == {(20_000, 1)}


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.binary(max_size=70)), max_size=12), st.data())
def test_any_frames_cut_anywhere_are_heard_as_far_as_they_are_whole(tmp_path_factory, said, data):
    path = str(tmp_path_factory.mktemp("frames") / "input")
    expected, ends = {}, [0]
    for key, text in said:
        add(path, key, text)
        expected.setdefault(key, text)
        if os.path.getsize(path) != ends[-1]:
            ends.append(os.path.getsize(path))
    cut = data.draw(st.integers(0, ends[-1]))
    if said:
        os.truncate(path, cut)
    whole = sum(end <= cut for end in ends[1:])
    reader = Reader(path)
    assert reader.heard() == b"".join(list(expected.values())[:whole])
    add(path, "the next, which is longer", b"next")
    assert reader.heard() == b"next"
    reader.close()
