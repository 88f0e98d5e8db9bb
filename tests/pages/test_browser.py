"""Two people and a real Chromium, before a running arbe."""

import re
import signal
import socket
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.operations.test_up import Up

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=15_000)  # milliseconds; this machine may be busy with other tests
ARGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="module")
def arbe():
    """All of arbe, on a port and in a folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="arbe-pages-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Up(Path(folder) / "var", port) as up:
            up.link = up.hears(r"http://\S+/sign-in/\S+/", within=120)
            yield up
            up.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def chromium(arbe):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def people(chromium, arbe):
    """The owner, and Bo, who was added by the owner and came in by the link that was shown."""
    owner = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = owner.new_page()
    come_in(page, arbe.link)
    page.goto(house_of(page) + "settings/members/")
    page.get_by_label("E-mail", exact=True).fill("bo@demo.example")
    page.get_by_role("button", name="Add, and show a sign-in link").click()
    link = page.locator(".once code").inner_text()
    page.close()
    bo = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = bo.new_page()
    come_in(page, link)
    page.close()
    return owner, bo


def come_in(page, link):
    page.goto(link)
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("heading", name="Threads")).to_be_visible()


def house_of(page) -> str:
    return re.match(r".*/houses/\w+/", page.url)[0]


@pytest.fixture
def page(people):
    """The owner's tab, in the first thread. Nothing may go wrong in its console."""
    page = people[0].new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    open_thread(page)
    yield page
    page.close()
    assert wrong == []


def open_thread(page):
    page.goto(page.context.base)
    page.locator(".list").get_by_text("Start here").click()
    expect(page.get_by_role("log")).to_be_visible()


@pytest.fixture(autouse=True)
def _addresses(people, arbe):
    for context in people:
        context.base = f"http://127.0.0.1:{arbe.port}/"


def send(page, text):
    page.get_by_role("textbox", name="Say something").fill(text)
    page.keyboard.press("Enter")


def test_what_one_says_and_runs_the_other_sees_live(page, people):
    bo = people[1].new_page()
    open_thread(bo)
    send(page, "hello **Bo**")
    expect(bo.locator("strong", has_text="Bo")).to_be_visible()
    expect(page.get_by_role("textbox", name="Say something")).to_have_value("")
    send(page, "$ echo first; sleep 2; echo second")
    card = bo.locator(".card", has_text="echo first; sleep").last
    expect(card.locator(".lines")).to_contain_text("first")
    expect(card.locator(".mark.running")).to_be_visible()
    expect(card.locator(".lines")).not_to_contain_text("second")
    expect(card.locator(".mark.completed")).to_be_visible()
    expect(card.locator(".lines")).to_have_text("first\nsecond\n")
    bo.close()


def test_a_page_that_was_reloaded_shows_the_same_log(page):
    send(page, "$ printf '\\033[31mred\\033[0m\\n'")
    card = page.locator(".card", has_text="printf").last
    expect(card.locator(".mark.completed")).to_be_visible()
    live = page.locator("#log .entry").count()
    assert page.locator(".card .f1").last.inner_text() == "red"
    page.reload()
    expect(page.locator("#log .entry")).to_have_count(live)
    assert page.locator(".card .f1").last.inner_text() == "red"


def test_the_composer_says_where_the_text_will_go(page):
    box, hint = page.get_by_role("textbox", name="Say something"), page.locator("#composer-hint")
    expect(hint).to_contain_text("Says to everyone in Demo")
    box.fill("$ ls")
    expect(hint).to_contain_text("Runs in Python, network off")
    box.fill("make report.md")
    expect(hint).to_contain_text("Makes only what is stale")
    box.fill("make it shorter please")
    expect(hint).to_contain_text("Says to everyone")
    box.fill("one")
    page.keyboard.press("Shift+Enter")
    expect(box).to_have_value("one\n")
    box.fill("")


def test_a_refusal_stands_above_what_was_typed(people):
    page = people[0].new_page()
    open_thread(page)
    send(page, "make nobody-made-this.txt")
    expect(page.get_by_role("alert")).to_contain_text("Nobody has made")
    expect(page.get_by_role("textbox", name="Say something")).to_have_value("make nobody-made-this.txt")
    page.get_by_role("textbox", name="Say something").fill("")
    page.close()


def test_make_completes_targets_with_their_marks_and_makes_what_is_stale(page):
    send(page, "$ python3 summarise.py data/coffee.csv > report.md")
    expect(page.locator(".made", has_text="report.md").last).to_be_visible()
    send(page, "$ sed -i 's/May,501/May,555/' data/coffee.csv")
    expect(page.locator(".card", has_text="sed -i").locator(".mark.completed").last).to_be_visible()
    page.get_by_role("textbox", name="Say something").press_sequentially("make re")
    expect(page.get_by_role("listbox").get_by_role("option")).to_contain_text("report.md")
    expect(page.get_by_role("listbox").get_by_role("option").locator(".mark.stale")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    make = page.locator(".card", has=page.locator("[data-prompt=make]")).last
    expect(make.locator(".mark.completed")).to_be_visible()
    expect(make).to_contain_text("Ran 1 step")


def test_somebody_who_reads_above_is_not_moved(page):
    send(page, "$ seq 1 400")
    card = page.locator(".card", has_text="seq 1 400").last
    expect(card.locator(".mark.completed")).to_be_visible()
    button = card.get_by_role("button", name=re.compile("Show all 400 lines"))
    expect(button).to_be_visible()
    button.click()
    page.evaluate("document.getElementById('scroll').scrollTop = 0")
    before = page.evaluate("document.getElementById('scroll').scrollTop")
    send_quietly(page, "are you there?")
    expect(page.locator("#newer")).to_contain_text("1 new")
    assert page.evaluate("document.getElementById('scroll').scrollTop") == before
    page.locator("#newer").click()
    expect(page.locator("#newer")).to_be_hidden()


def send_quietly(page, text):
    """As somebody else would: without the composer of this tab."""
    token = page.locator("#composer [name=csrfmiddlewaretoken]").input_value()
    url = page.locator("#composer").get_attribute("action")
    answer = page.request.post(
        page.context.base.rstrip("/") + url,
        form={"text": text, "csrfmiddlewaretoken": token},
        headers={"Referer": page.url},
    )
    assert answer.ok


def test_output_that_goes_on_over_two_pages_is_one_card_again(page):
    send(page, "$ for i in $(seq 200); do echo $i; sleep 0.1; done")
    card = page.locator(".card", has_text="seq 200")
    expect(card.locator(".mark.completed")).to_be_visible(timeout=60_000)
    live = card.locator(".lines").text_content()
    assert live == "".join(f"{number}\n" for number in range(1, 201))
    page.reload()
    expect(page.locator("[data-continues]")).to_have_count(1)
    page.get_by_role("link", name="Earlier entries").click()
    expect(page.locator("[data-continues]")).to_have_count(0)
    expect(card).to_have_count(1)
    assert card.locator(".lines").text_content() == live


def test_a_running_command_is_stopped(page):
    send(page, "$ sleep 100")
    card = page.locator(".card", has_text="sleep 100").last
    card.get_by_role("button", name="Stop").click()
    expect(card.locator(".mark.cancelled")).to_be_visible(timeout=15_000)


def test_the_keyboard_goes_everywhere(page):
    page.keyboard.press("c")
    expect(page.get_by_role("textbox", name="Say something")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    expect(page.locator("#log > .entry.here")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("f")
    expect(page.get_by_role("heading", name="Files")).to_be_visible()


def test_details_open_beside_the_thread_and_have_an_address(page):
    page.locator(".card").last.get_by_role("link", name="Details").click()
    expect(page.get_by_role("complementary", name="Details").get_by_role("heading", name="Output")).to_be_visible()
    page.reload()
    expect(page.get_by_role("complementary", name="Details").get_by_role("heading", name="Output")).to_be_visible()
    page.get_by_role("button", name="Close").first.click()
    expect(page.locator("#pane")).to_be_hidden()


def test_a_file_says_what_it_was_made_from_and_what_is_made_of_it(page):
    page.goto(house_of(page) + "made/")
    page.locator(".list a.cover").first.click()
    expect(page.locator(".origin")).to_contain_text("from data/coffee.csv and 1 more")
    page.locator(".lineage a", has_text="data/coffee.csv").click()
    expect(page.get_by_role("columnheader", name="cups")).to_be_visible()
    expect(page.get_by_role("heading", name="Used by")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_telephone_in_both_schemes(chromium, people, scheme):
    state = people[0].storage_state()
    narrow = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, storage_state=state)
    page = narrow.new_page()
    page.goto(people[0].base)
    base = house_of(page)
    page.locator(".list a.cover").first.click()
    thread = page.url
    page.goto(base + "made/")
    file = page.locator(".list a.cover").first.get_attribute("href")
    for address in (base, thread, file, *(base + path for path in PATHS), people[0].base + "houses/"):
        page.goto(address if address.startswith("http") else people[0].base.rstrip("/") + address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == 360, f"{address} is {wide} wide"
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(252, 251, 248)", "dark": "rgb(25, 24, 21)"}[scheme]
    narrow.close()


PATHS = (
    "files/",
    "made/",
    "settings/environments/",
    "settings/environments/new/",
    "settings/members/",
    "settings/secrets/",
)


def test_the_drawer_opens_on_a_telephone(chromium, people):
    narrow = chromium.new_context(viewport={"width": 360, "height": 740}, storage_state=people[0].storage_state())
    page = narrow.new_page()
    page.goto(people[0].base)
    expect(page.get_by_role("link", name="Files")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Files").click()
    expect(page.get_by_role("heading", name="Files")).to_be_visible()
    narrow.close()


def test_the_theme_is_kept(page):
    page.get_by_role("button", name="Switch between light and dark").click()
    chosen = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == chosen
    page.get_by_role("button", name="Switch between light and dark").click()
