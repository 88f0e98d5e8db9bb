"""What counting a stream on a foreign server costs: no more than its end, however long it is."""

import json
import tracemalloc

from streams.calls import Address, Answer
from streams.foreign import Foreign

AT = Address("oak", "talk")
PAGE, PAGES = 250, 80  # events of a page, pages of the stream: 20 MB


def played(steps, asked=None):
    """What comes of it at a server that has the whole stream and gives it out by pages; `asked` gets every call."""
    asked = [] if asked is None else asked
    try:
        call = next(steps)
        while True:
            asked.append(call)
            call = steps.send(answered(int(call.query["offset"].replace("-1", "0"))))
    except StopIteration as done:
        return done.value


def answered(page):
    numbers = range(page * PAGE, min((page + 1) * PAGE, PAGE * PAGES))
    content = json.dumps([{"n": number, "text": f"{number} ".ljust(1000, "x")} for number in numbers]).encode()
    is_last = page + 1 >= PAGES
    headers = {"stream-next-offset": str(min(page + 1, PAGES)), "stream-up-to-date": str(is_last).lower()}
    return Answer(200, headers, content, json.loads(content))


def peak(what):
    """Of memory, in bytes, beside what comes of it."""
    tracemalloc.start()
    try:
        return what(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_end_of_a_long_stream_is_found_without_keeping_the_stream():
    page, most = peak(lambda: played(Foreign().head(AT)))
    assert int(page.next[:16]) == PAGE * PAGES and page.up_to_date
    assert most < 8 << 20


def test_a_place_in_a_long_stream_is_found_without_keeping_what_lies_before_it():
    number = PAGE * PAGES - 1000
    offset = f"{number:016}_{0:016}"
    page, most = peak(lambda: played(Foreign().read(AT, offset, 5)))
    assert [event["n"] for event in page.events] == list(range(number, number + 5))
    page, also = peak(lambda: played(Foreign().before(AT, offset, 1500)))
    assert [event["n"] for event in page.events] == list(range(number - 1500, number))
    assert max(most, also) < 8 << 20


def test_reading_back_from_the_end_counts_the_stream_once():
    asked = []
    page = played(Foreign().before(AT, "now", 3000), asked)
    assert [event["n"] for event in page.events] == list(range(PAGE * PAGES - 3000, PAGE * PAGES))
    assert len(asked) == PAGES
