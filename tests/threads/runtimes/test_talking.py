"""What is said to the programs: how they are started, steered, interrupted, and what they ask."""

import json
import subprocess

import orjson
import pytest

from houses.agents import RUNTIMES
from houses.bots import SPEAKS
from tests.threads.runtimes.recorded import feed, heard, lines, task
from threads.agent_events import PiLine, PiRetry
from threads.runtimes.adapter import Launch
from threads.runtimes.adapters import ADAPTERS, adapter
from threads.runtimes.launch import launch_script, variables

PROGRAMS = sorted(ADAPTERS)
DOOR = "http://127.0.0.1:4180/nonce"


def parsed(sent):
    return [orjson.loads(line) for line in sent]


def codex_at_work(**changes):
    one = adapter("codex", task(**changes))
    feed(
        one,
        [
            b'{"id":1,"result":{"userAgent":"x"}}',
            b'{"id":2,"result":{"thread":{"id":"t-1"}}}',
            b'{"id":3,"result":{"turn":{"id":"u-1"}}}',
            b'{"method":"turn/started","params":{"threadId":"t-1","turn":{"id":"u-1"}}}',
        ],
    )
    return one


@pytest.fixture
def started(tmp_path):
    """What a launch comes to in a shell: what the program that it names saw."""

    def start(launch: Launch) -> str:
        ran = subprocess.run(
            ["sh", "-c", launch_script(launch)],
            env={"PATH": "/usr/bin:/bin", "ARBE_DOOR": DOOR, **variables(launch)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    return start


NASTY = "quotes ' \" and $HOME `id` $(id) \\n \\ %s * ? [a] ~ é 🙂\n\n# @DOOR@/model @DOOR\n\n"


def test_words_variables_and_files_arrive_as_they_are_with_the_door_put_in(started, tmp_path):
    words = (
        "python3",
        "-c",
        "import sys, json, os; print(json.dumps([sys.argv[1:], dict(os.environ)]))",
        NASTY,
        "",
        "@DOOR@",
    )
    path = str(tmp_path / "a folder" / "it's.json")
    launch = Launch(argv=words, env={"URL": "@DOOR@/model", "PLAIN": NASTY.replace("@", "")}, files={path: NASTY})
    arguments, environment = json.loads(started(launch))
    filled = NASTY.replace("@DOOR@", DOOR)
    assert arguments == [filled, "", DOOR]
    assert (environment["URL"], environment["PLAIN"]) == (f"{DOOR}/model", NASTY.replace("@", ""))
    assert (tmp_path / "a folder" / "it's.json").read_text() == filled
    assert not any(name.startswith("ARBE_FILE") for name in environment)


def test_files_longer_than_a_variable_may_be_arrive_whole(started, tmp_path):
    text = "🙂 line\n" * 60_000
    started(Launch(argv=("true",), files={str(tmp_path / "long"): text}))
    assert (tmp_path / "long").read_text() == text


@pytest.mark.parametrize("letter", "é'")
@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_of_a_launch_is_longer_than_a_kernel_takes(program, letter):
    launch = adapter(program, task(system_prompt=letter * 32_000, prompt="p" * 1_000_000)).launch()
    longest = max(len(value.encode()) for value in [*variables(launch).values(), launch_script(launch)])
    assert longest < 128 * 1024


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_launch_is_told_where_it_is_and_keeps_its_things_in_the_threads_folder(program):
    one = adapter(program, task(thread_id="../evil", prompt="the task itself"))
    launch = one.launch()
    everything = json.dumps([launch.argv, launch.env, launch.files, parsed(one.opening())])
    told = everything if program != "codex" else json.dumps(parsed(codex_starts(one)))
    assert "You are Scribe." in told and "arbe delegate" in told
    assert "/home/agent/.arbe/___evil/" in everything and "/../" not in everything
    assert "@DOOR@/model" in everything and "http" not in json.dumps(launch.env)
    assert any(word.startswith("/opt/arbe/bin/") for word in launch.argv)
    assert "the task itself" not in json.dumps([launch.argv, launch.env, launch.files])


def codex_starts(one):
    return feed(one, [b'{"id":1,"result":{}}']).send


def test_every_program_of_a_bot_is_spoken_to_or_answers_in_process():
    assert {*SPEAKS} == {*ADAPTERS, "chat"} == {*RUNTIMES}


def test_pi_goes_on_in_its_session():
    launch = adapter("pi", task(session="before", resumes=True)).launch()
    assert launch.argv[launch.argv.index("--session-id") + 1] == "before"
    models = json.loads(next(text for path, text in launch.files.items() if path.endswith("models.json")))
    assert models["providers"]["arbe"]["api"] == "openai-completions"


@pytest.mark.parametrize(("session", "resumed"), [("s-1", True), ("s-2", False), ("", False)])
def test_claude_goes_on_in_its_session_if_it_is_there(started, tmp_path, session, resumed):
    launch = adapter("claude-code", task(session=session, resumes=bool(session))).launch()
    folder = tmp_path / "projects" / "-home-agent-tree"
    folder.mkdir(parents=True)
    (folder / "s-1.jsonl").write_text("{}")
    words = ["/bin/echo" if word.endswith("bin/claude") else word for word in launch.argv]
    said = started(Launch(argv=tuple(words), env=launch.env | {"CLAUDE_CONFIG_DIR": str(tmp_path)}))
    assert said.startswith("-p --output-format stream-json") and "You are Scribe." in said
    assert said.rstrip().endswith("--resume s-1") == resumed and ("--resume" in said) == resumed


def test_claude_names_a_new_session_itself():
    assert "--session-id" not in adapter("claude-code", task()).launch().argv
    session = orjson.loads(lines("claude-plain")[0])["session_id"]
    assert heard("claude-code", "claude-plain").sessions == [session]


def test_codex_is_asked_one_thing_after_the_other():
    one = adapter("codex", task(prompt="do it", model='m"1'))
    (hello,) = parsed(one.opening())
    assert hello["method"] == "initialize"
    ready, start = parsed(feed(one, [b'{"id":1,"result":{}}']).send)
    assert (ready["method"], start["method"]) == ("initialized", "thread/start")
    assert start["params"]["model"] == 'm"1' and "You are Scribe." in start["params"]["developerInstructions"]
    answered = feed(one, [b'{"id":2,"result":{"thread":{"id":"t-1"}}}'])
    (turn,) = parsed(answered.send)
    assert (turn["method"], turn["params"]) == (
        "turn/start",
        {"threadId": "t-1", "input": [{"type": "text", "text": "do it"}]},
    )
    assert answered.sessions == ["t-1"]


def test_codex_resumes_without_reading_its_whole_history_to_us():
    one = adapter("codex", task(session="t-0", resumes=True))
    _, resume = parsed(feed(one, [b'{"id":1,"result":{}}']).send)
    assert resume["method"] == "thread/resume"
    assert (resume["params"]["threadId"], resume["params"]["excludeTurns"]) == ("t-0", True)


def test_codex_whose_session_is_gone_begins_anew():
    one = adapter("codex", task(session="t-0", resumes=True))
    gone = b'{"id":2,"error":{"code":-32600,"message":"no rollout found"}}'
    *_, again = parsed(feed(one, [b'{"id":1,"result":{}}', gone]).send)
    assert again["method"] == "thread/start"
    assert feed(one, [b'{"id":2,"result":{"thread":{"id":"t-9"}}}']).sessions == ["t-9"]


def test_codex_that_cannot_begin_fails_with_what_it_said():
    one = adapter("codex", task())
    over = feed(one, [b'{"id":1,"result":{}}', b'{"id":2,"error":{"code":-32600,"message":"no such folder"}}']).overs
    outcome = one.outcome(None, stop_asked=False)
    assert (over, outcome.code) == (1, "crashed") and "no such folder" in outcome.sentence


def test_codex_cannot_be_steered_or_interrupted_before_it_works():
    one = adapter("codex", task())
    assert one.steer("x") is None and one.interrupt() is None
    working = codex_at_work()
    (steer, interrupt) = parsed([working.steer("left!"), working.interrupt()])
    assert (steer["method"], steer["params"]["expectedTurnId"]) == ("turn/steer", "u-1")
    assert (interrupt["method"], interrupt["params"]) == ("turn/interrupt", {"threadId": "t-1", "turnId": "u-1"})
    assert working.steer("left!") == codex_at_work().steer("left!")


def test_what_the_turn_before_has_cost_is_not_counted_again():
    def update(turn):
        usage = {
            "last": {"inputTokens": 100, "cachedInputTokens": 60, "outputTokens": 7},
            "total": {"inputTokens": 900},
        }
        params = {"threadId": "t-1", "turnId": turn, "tokenUsage": usage}
        return orjson.dumps({"method": "thread/tokenUsage/updated", "params": params})

    (spent,) = feed(codex_at_work(), [update("u-0"), update("u-1")]).events
    assert (spent.input, spent.cache_read, spent.output) == (40, 60, 7)


@pytest.mark.parametrize(
    ("program", "asks", "answer"),
    [
        ("codex", {"id": 7, "method": "item/commandExecution/requestApproval", "params": {}}, {"id": 7}),
        ("claude-code", {"type": "control_request", "request_id": "q", "request": {}}, {"type": "control_response"}),
        ("pi", {"type": "extension_ui_request", "id": "q", "method": "confirm"}, {"id": "q", "cancelled": True}),
    ],
)
def test_a_program_that_asks_for_a_person_is_told_that_nobody_is_there(program, asks, answer):
    (sent,) = parsed(feed(adapter(program, task()), [orjson.dumps(asks)]).send)
    assert sent.items() >= answer.items()


def test_what_pi_only_shows_to_a_person_needs_no_answer():
    asks = {"type": "extension_ui_request", "id": "q", "method": "notify", "message": "hi"}
    assert feed(adapter("pi", task()), [orjson.dumps(asks)]).send == []


def test_pi_and_claude_are_steered_with_the_words_of_whoever_spoke():
    assert parsed([adapter("pi", task()).steer("é\nleft")])[0] == {"id": "steer", "type": "steer", "message": "é\nleft"}
    assert parsed([adapter("claude-code", task()).steer("left")])[0]["message"]["content"] == "left"
    assert [one["type"] for one in parsed(adapter("pi", task()).interrupt().splitlines())] == ["clear_queue", "abort"]


def test_a_message_that_begins_with_a_slash_is_no_command_of_claude():
    (said,) = parsed(adapter("claude-code", task(prompt="/data/a.csv is wrong")).opening())
    assert said["message"]["content"] == "\n/data/a.csv is wrong"
    replay = {"type": "user", "isReplay": True, "message": {"role": "user", "content": "\n/data/a.csv is wrong"}}
    assert feed(adapter("claude-code", task(prompt="/data/a.csv is wrong")), [orjson.dumps(replay)]).took == []


def test_the_task_itself_is_not_taken_for_a_message_but_the_same_words_again_are():
    replay = orjson.dumps({"type": "user", "isReplay": True, "message": {"role": "user", "content": "go on"}})
    assert feed(adapter("claude-code", task(prompt="go on")), [replay, replay]).took == ["go on"]


def test_claude_that_has_more_to_do_is_not_over():
    result = {"type": "result", "is_error": False, "result": "one", "terminal_reason": "completed"}
    one = adapter("claude-code", task())
    assert feed(one, [orjson.dumps(result | {"queued_turn_count": 1})]).overs == 0
    assert feed(one, [orjson.dumps(result | {"queued_turn_count": 0})]).overs == 1


def test_a_refused_key_ends_the_run_before_all_retries_are_used():
    retry = {
        "type": "system",
        "subtype": "api_retry",
        "max_retries": 6,
        "error_status": 401,
        "error": "authentication_failed",
    }
    claude = adapter("claude-code", task())
    assert [claude.hear(orjson.dumps(retry | {"attempt": attempt})).over for attempt in (1, 2)] == [False, True]
    error = {
        "message": "Reconnecting... 1/7",
        "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": 401}},
    }
    line = orjson.dumps({"method": "error", "params": {"willRetry": True, "error": error}})
    codex = codex_at_work()
    assert [codex.hear(line).over for _ in range(2)] == [False, True]
    assert {one.outcome(None, stop_asked=False).code for one in (claude, codex)} == {"provider_auth"}


def test_codex_that_waits_for_a_network_is_not_waited_for_without_end():
    error = {"message": "Reconnecting... waiting for network", "codexErrorInfo": {"responseStreamDisconnected": {}}}
    line = orjson.dumps({"method": "error", "params": {"willRetry": True, "error": error}})
    codex = codex_at_work()
    everything = feed(codex, [line] * 12)
    assert everything.overs == 1 and [one.attempt for one in everything.of(PiRetry.kind)] == list(range(1, 13))
    assert codex.outcome(None, stop_asked=False).code == "provider_down"


def test_the_address_of_the_door_is_in_no_sentence():
    error = f"unexpected status 500: broken, url: {DOOR}/model/responses"
    codex = codex_at_work()
    turn = {"id": "u-1", "status": "failed", "error": {"message": error}}
    feed(codex, [orjson.dumps({"method": "turn/completed", "params": {"turn": turn}})])
    sentence = codex.outcome(None, stop_asked=False).sentence
    assert "broken" in sentence and "nonce" not in sentence and "127.0.0.1" not in sentence


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("pi", b"Warning: No project session found with id 'x'; creating"),
        ("claude-code", b"[claude-code:unrecognized_model] {}"),
    ],
)
def test_what_programs_mutter_is_not_kept(program, line):
    assert feed(adapter(program, task()), [line]).of(PiLine.kind) == []


def test_a_word_of_nothing_but_quotes_arrives_whole(started):
    words = "it's" * 8_000, "'" * 32_000, "'@DOOR@'" * 200
    launch = Launch(
        argv=("python3", "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words), env={}, files={}
    )
    assert json.loads(started(launch)) == [word.replace("@DOOR@", DOOR) for word in words]
