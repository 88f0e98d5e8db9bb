"""Events as HTML, without a server."""

import pytest

from artifacts.drawing import Node, draw
from houses.markdown import prose
from threads.log.ansi import Style, coloured

pytestmark = pytest.mark.django_db
SEQ = "{0:016d}_{0:016d}"


def event(number, kind, **payload):
    return {
        "seq": SEQ.format(number),
        "stream_id": f"s-{kind}-{number}-{sorted(map(str, payload.items()))}",
        "author_agent_id": None,
        "type": kind,
        "payload": payload,
        "ts": "2026-03-04T05:06:07.000Z",
    }


def test_colours_become_classes_and_everything_else_is_escaped():
    assert coloured("\x1b[1;31m<b>\x1b[0m ok") == '<span class="ab f1">&lt;b&gt;</span> ok'


def test_a_chunk_begins_in_the_style_that_was_in_force():
    assert coloured("on\x1b[0m off", "32") == '<span class="f2">on</span> off'


def test_many_colours_become_the_nearest_of_sixteen():
    assert Style().after("38;5;203").fore == 9
    assert Style().after("38;2;0;0;0;1") == Style(fore=0, flags="b")


def test_control_sequences_are_dropped_and_overwritten_lines_are_gone():
    assert coloured("\x1b[2J\x1b]0;title\x07 10%\r 20%\r100%\nend\r\n") == "100%\nend\n"


def test_markdown_keeps_no_script_and_no_picture():
    html = prose("**b** <script>x</script> ![p](http://far/p.png) [l](javascript:x) [m](https://a.example)")
    assert "<strong>b</strong>" in html
    assert "<script" not in html and "<img" not in html and 'href="javascript' not in html
    assert 'href="https://a.example" rel="noopener noreferrer nofollow"' in html


def test_a_page_folds_output_into_its_card():
    from threads.log.reading import laid_out

    told = [
        event(1, "command_queued", command_id="c1", text="ls", make_id=None, target=None),
        event(2, "command_output", command_id="c1", start=0, end=3, text="a\nb\n", style=""),
        event(3, "message", text="meanwhile"),
        event(4, "command_finished", command_id="c1", status="failed", exit_code=2, seconds=1.5, reason="",
              changed=[], snapshot=None, landed=None, conflicts=[], left_out=[], redactions={}),
    ]  # fmt: skip
    html = laid_out(told, "h")
    card = html[html.index('id="card-c1"') : html.index("meanwhile")]
    assert "a\nb\n" in card and "exit 2" in card and "1.5 s" in card
    assert "Stop" not in card
    assert html.count("<article") == 2


def test_a_long_output_keeps_its_tail_on_the_page():
    from threads.log.reading import laid_out

    chunks = [
        event(n, "command_output", command_id="c1", start=n, end=n, text=f"{n} {'x' * 9000}\n", style="")
        for n in range(2, 30)
    ]
    html = laid_out([event(1, "command_queued", command_id="c1", text="yes"), *chunks], "h")
    assert "29 xxx" in html and "\n2 xxx" not in html
    assert "Earlier output is left out here" in html


def test_a_socket_says_where_each_part_goes():
    from threads.log.rendering import fragment

    assert 'data-into="#lines-c1"' in fragment(
        event(2, "command_output", command_id="c1", start=0, end=1, text="x"), "h"
    )
    started = fragment(event(3, "command_started", command_id="c1", sandbox_id="s", split={}), "h")
    assert 'data-replace="#state-c1"' in started and "running" in started


def test_a_kind_nobody_drew_is_still_shown():
    from threads.log.rendering import fragment

    assert "deploy done (where staging)" in fragment(event(5, "deploy.done", where="staging"), "h")


def test_a_lineage_is_drawn_from_left_to_right():
    nodes = [Node(path, "stale", "", "#") for path in ("report.md", "monthly.csv", "weather.csv", "title.txt")]
    drawn = draw(nodes, [("weather.csv", "monthly.csv"), ("monthly.csv", "report.md"), ("title.txt", "report.md")])
    place = {node.path: node.x for node in drawn["nodes"]}
    assert place["weather.csv"] < place["monthly.csv"] == place["title.txt"] < place["report.md"]
    assert len(drawn["edges"]) == 3


def test_a_drawing_of_a_circle_ends():
    nodes = [Node(path, "stale", "", "#") for path in "ab"]
    assert draw(nodes, [("a", "b"), ("b", "a")])["width"] > 0
