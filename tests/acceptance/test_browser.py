"""The same job in a real browser: two people in one thread, each seeing what the other does as it happens."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.acceptance.hands import Hand, Workshop

pytestmark = pytest.mark.timeout(180)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
expect.set_options(timeout=20_000)  # milliseconds
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
SCRIPT = b"""import csv
import sys
import time

for number in range(1, 4):
    print(f"line {number}", flush=True)
    time.sleep(0.5)
total = sum(int(row["cups"]) for row in csv.DictReader(open("data/coffee.csv", newline="")))
open("report.md", "w").write(f"# {total} cups\\n")
"""


@pytest.fixture(scope="module")
def shop(ada: Hand) -> Workshop:
    shop = ada.workshop("browser")
    shop.write("data/coffee.csv", b"month,cups\nMay,501\nJune,488\n")
    shop.write("summarise.py", SCRIPT)
    return shop


@pytest.fixture(scope="module")
def contexts(ada: Hand, bo: Hand) -> Iterator[list[BrowserContext]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield [_signed_in(browser.new_context(), hand) for hand in (ada, bo)]
        browser.close()


def test_two_people_do_the_main_job_in_one_thread(shop: Workshop, contexts: list[BrowserContext]):
    wrong: list[str] = []
    adas, bos = (_page(context, wrong) for context in contexts)
    house = f"{shop.hand.system.url}/houses/{shop.hand.house}"
    for page in (adas, bos):
        page.goto(f"{house}/threads/{shop.thread}/")
        expect(page.locator("#composer-text")).to_be_visible()

    _send(bos, "The **report** is next.")
    expect(adas.locator("#log .prose strong")).to_have_text("report")

    _send(adas, "$ python3 summarise.py")
    card = bos.locator("#log .card", has_text="python3 summarise.py")
    expect(card.locator("pre.lines")).to_contain_text("line 1")
    expect(card.locator(".state .mark.running")).to_be_visible()
    expect(card.locator("pre.lines")).to_have_text(re.compile(r"line 1\s+line 2\s+line 3"))
    expect(card.locator(".state .mark.completed")).to_be_visible()
    for page in (adas, bos):
        expect(page.locator("#log .made", has_text="report.md")).to_contain_text("data/coffee.csv")

    _send(bos, "$ sed -i 's/501/555/' data/coffee.csv")
    expect(adas.locator("#log .card", has_text="sed -i").locator(".state .mark.completed")).to_be_visible()
    files = adas.context.new_page()
    files.goto(f"{house}/files/{shop.repository}/")
    expect(files.locator("tr", has_text="report.md").locator(".mark.stale")).to_be_visible()
    expect(files.locator("tr", has_text="summarise.py").locator(".mark")).to_have_count(0)

    _send(bos, "make report.md")
    make = adas.locator("#log .card", has=adas.locator("code[data-prompt=make]", has_text="report.md"))
    expect(make.locator(".foot").last).to_contain_text("Ran 1 step")
    files.reload()
    expect(files.locator("tr", has_text="report.md").locator(".mark.fresh")).to_be_visible()
    assert shop.read("report.md") == b"# 1043 cups\n"

    _send(adas, "make nothing.txt")
    expect(adas.locator("#composer .refusal")).to_contain_text("Nobody has made `nothing.txt` yet")
    expect(adas.locator("#composer-text")).to_have_value("make nothing.txt")
    assert [one for one in wrong if "404" not in one] == [], "only the refusal may be an error to the browser"


def _signed_in(context: BrowserContext, hand: Hand) -> BrowserContext:
    cookies = hand.person.cookies.items()
    context.add_cookies([{"name": name, "value": value, "url": hand.system.url} for name, value in cookies])
    context.set_default_timeout(20_000)
    return context


def _page(context: BrowserContext, wrong: list[str]) -> Page:
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(f"{said.type}: {said.text}"))
    return page


def _send(page: Page, text: str) -> None:
    page.locator("#composer-text").fill(text)
    page.locator("#composer [type=submit]").click()
