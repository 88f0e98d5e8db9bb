"""Two people and a real Chromium watch a real agent at work; its model is scripted."""

import re
import signal
import socket
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.agents.model import Model
from tests.agents.scenarios import say, shell
from tests.operations.test_up import Up
from tests.pages.test_browser import ARGS, come_in, house_of, open_thread
from tests.runtimes import runtime

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=30_000)  # milliseconds; this machine may be busy with other tests
WAIT = "until [ -e go ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def model():
    model = Model().start()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def people():
    """Ada, who runs it, and Bo: each in a browser of their own, before an arbe that has the agents' programs."""
    programs = runtime("pi")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="arbe-agents-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        var = Path(folder) / "var"
        var.mkdir()
        (var / "runtimes").symlink_to(programs)
        with Up(var, port) as up, sync_playwright() as playwright:
            link = up.hears(r"http://\S+/sign-in/\S+/", within=120)
            chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
            yield _two(chromium, link, f"http://127.0.0.1:{port}/")
            chromium.close()
            up.end(signal.SIGTERM)


def _two(chromium, link, base):
    ada, bo = (chromium.new_context(viewport={"width": 1280, "height": 800}) for _ in range(2))
    ada.base = bo.base = base
    page = ada.new_page()
    come_in(page, link)
    page.goto(house_of(page) + "settings/members/")
    page.get_by_label("E-mail", exact=True).fill("bo@demo.example")
    page.get_by_role("button", name="Add, and show a sign-in link").click()
    guest = bo.new_page()
    come_in(guest, page.locator(".once code").inner_text())
    guest.close()
    page.close()
    return ada, bo


@pytest.fixture
def page(people):
    """Ada's tab. Nothing may go wrong in its console."""
    page = people[0].new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    open_thread(page)
    yield page
    page.close()
    assert wrong == []


@pytest.fixture(scope="module")
def scribe(people, model):
    """A bot that was set up in the form for it."""
    page = people[0].new_page()
    page.goto(people[0].base)
    page.goto(house_of(page) + "settings/agents/new/")
    page.get_by_label("Name", exact=True).fill("Scribe")
    page.get_by_label("Runtime").select_option("pi")
    page.get_by_label("Model", exact=True).fill("m")
    page.get_by_label(re.compile("Provider.s address")).fill(model.url)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Scribe")).to_be_visible()
    expect(page.locator(".notice.warn")).to_have_count(0)
    page.close()
    return "Scribe"


def hand(page, bot, text):
    """Delegate it; returns the card of the task."""
    page.get_by_role("button", name="Delegate").click()
    page.get_by_label("Bot", exact=True).select_option(label=f"{bot} (pi)")
    page.get_by_role("textbox", name="Say something").fill(text)
    page.keyboard.press("Enter")
    task = page.locator(".spawn", has_text=text[:20]).last
    expect(task.locator(".mark.running")).to_be_visible()
    return task


def speak(page, text):
    page.get_by_role("textbox", name="Say something").fill(text)
    page.keyboard.press("Enter")


def test_two_people_watch_steer_and_wait_for_one_run(page, people, scribe):
    steps = [shell(f"echo measured; {WAIT}"), shell("printf '# Notes\\n' > notes.md")]
    task = hand(page, scribe, "Measure, and write it down. " + say("chain", steps=steps, then="It is in `notes.md`."))
    child = people[0].base.rstrip("/") + task.get_by_role("link").first.get_attribute("href")
    here, there = people[0].new_page(), people[1].new_page()
    for one in (here, there):
        one.goto(child)
        run = one.locator(".run .card")
        expect(run.locator(".call", has_text="echo measured").locator(".lines")).to_have_text("measured\n")
        expect(one.locator("#composer-hint")).to_contain_text("Steers what Scribe does now")
    here.get_by_label("Let it finish first").check()
    speak(here, "and the second thing")
    waits = there.locator(".waits", has_text="the second thing")
    expect(waits).to_be_visible()
    expect(waits.get_by_role("button", name="Take it back")).to_be_hidden()  # it is Ada's
    mine = here.locator(".waits", has_text="the second thing")
    mine.get_by_text("Edit").click()
    mine.get_by_label("What to say instead").fill("Say goodbye. " + say("plain", text="Goodbye."))
    mine.get_by_role("button", name="Save").click()
    expect(there.locator(".waits", has_text="Say goodbye.")).to_be_visible()
    page.goto(child)
    speak(page, "$ touch go")
    for one in (here, there):
        first, second = one.locator(".run").nth(0), one.locator(".run").nth(1)
        expect(first.locator(".foot")).to_contain_text("notes.md")
        expect(first.locator(".did > .said").last).to_have_text("It is in notes.md.")
        expect(second.locator(".foot")).to_contain_text("tokens")
        expect(second.locator(".did > .said")).to_have_text("Goodbye.")
        expect(one.locator(".waits")).to_have_count(0)
        expect(one.locator(".run")).to_have_count(2)
        expect(one.locator("#composer-hint")).to_contain_text("Starts Scribe again")
    there.reload()
    expect(there.locator(".run .doings[open]")).to_have_count(0)
    expect(there.locator(".run").first.locator(".doings summary")).to_have_text("2 tool calls")
    expect(there.locator(".run").first.locator(".summary")).to_have_text("It is in notes.md.")
    for one in (here, there):
        one.close()


def test_a_run_is_stopped_from_the_thread_above(page, scribe):
    task = hand(page, scribe, "Take your time. " + say("slow"))
    expect(page.locator("#thread-status")).to_have_count(0)
    task.get_by_role("button", name="Stop").click()
    expect(task.locator(".mark.cancelled")).to_be_visible()
    page.reload()
    expect(page.locator(".spawn", has_text="Take your time").last.locator(".mark.cancelled")).to_be_visible()


def test_what_a_run_did_and_changed_opens_beside_the_thread(page, scribe):
    task = hand(page, scribe, "Write it. " + say("write", file="plan.md", content="first\n"))
    expect(task.locator(".mark.completed")).to_be_visible()
    expect(task).to_contain_text("plan.md")
    task.get_by_role("link").first.click()
    page.locator(".run").get_by_role("link", name="Details").click()
    pane = page.get_by_role("complementary", name="Details")
    expect(pane.locator(".patch", has_text="plan.md").locator(".added", has_text="+first")).to_be_visible()
    page.goto(house_of(page) + "settings/spending/")
    expect(page.get_by_role("row", name=re.compile("Scribe"))).to_be_visible()


def test_a_task_that_fails_says_why_and_what_to_do(page, scribe):
    task = hand(page, scribe, "Try. " + say("http401"))
    expect(task.locator(".mark.failed")).to_be_visible()
    task.get_by_role("link").first.click()
    expect(page.locator(".run .because.failed")).to_contain_text("key")
    expect(page.locator("#composer-hint")).to_contain_text("Starts Scribe again")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_agents_fit_a_telephone_in_both_schemes(people, scribe, scheme):
    browser, state = people[0].browser, people[0].storage_state()
    narrow = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, storage_state=state)
    page = narrow.new_page()
    page.goto(people[0].base)
    base = people[0].base.rstrip("/") + re.sub(r"^https?://[^/]+", "", house_of(page))
    page.locator(".list").get_by_text("Start here").click()
    expect(page.get_by_role("log")).to_be_visible()
    tasks = [people[0].base.rstrip("/") + link.get_attribute("href") for link in page.locator(".spawn .task a").all()]
    for address in (page.url, *tasks[:3], page.url + "tree/", *(base + path for path in PATHS)):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, address
    narrow.close()


PATHS = ("inbox/", "settings/agents/", "settings/agents/new/", "settings/spending/")
