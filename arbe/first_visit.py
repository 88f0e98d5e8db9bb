"""The first visit: one house, a small repository, and a thread that says in four lines what to try."""

from django.db import transaction

from artifacts.models import Repository
from houses.models import Agent, House
from houses.tenancy import inside
from sandboxes.models import Environment
from threads.models import Thread

FIRST_OWNER = "owner@localhost"

DATA = """month,cups,price
January,412,2.10
February,398,2.10
March,455,2.20
April,470,2.20
May,501,2.20
June,488,2.30
"""

SCRIPT = '''"""Sum up what the café sold: python3 summarise.py data/coffee.csv > report.md"""

import csv
import sys

with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file))

total = sum(int(row["cups"]) * float(row["price"]) for row in rows)
best = max(rows, key=lambda row: int(row["cups"]))

print("# Coffee, so far this year\\n")
print(f"{len(rows)} months, {sum(int(row['cups']) for row in rows):,} cups, {total:,.2f} earned.")
print(f"The best month was {best['month']} with {best['cups']} cups.\\n")
print("| month | cups | earned |\\n| --- | ---: | ---: |")
for row in rows:
    print(f"| {row['month']} | {row['cups']} | {int(row['cups']) * float(row['price']):,.2f} |")
'''

WELCOME = """Four things to try here, in the box below:

1. `$ python3 summarise.py data/coffee.csv > report.md` runs a command; everybody sees its output and the new file.
2. `$ sed -i 's/May,501/May,555/' data/coffee.csv` changes the data (or edit it under *Files*).
3. Open `report.md` under *Files*: it says what it was made from, that it is stale, and which change made it so.
4. `make report.md` makes again only what went stale. Nobody wrote a build file: arbe saw what was read and written.

With a model, bots work here, too: *Settings → Agents → New agent*, then `@Name` and what it is to do."""


@transaction.atomic
def seed() -> bool:
    """Make the house Demo and its owner, unless somebody is here already. True if it did."""
    if Agent.objects.exists():
        return False
    owner = Agent.objects.create_human("Owner", FIRST_OWNER, is_operator=True)
    house = House.objects.found("Demo", by=owner)
    with inside(house, owner):
        repository = Repository.objects.create_in(house, "coffee", by=owner)
        files = {"data/coffee.csv": DATA.encode(), "summarise.py": SCRIPT.encode()}
        for path, content in files.items():
            repository.write(path, content, by=owner, message=f"Add {path}")
        environment = Environment.objects.create_in(
            house, "Python", by=owner, config={"repository": repository.pk}, secret_bindings=[]
        )
        thread = Thread.objects.open_in(house, by=owner, name="Start here", environment=environment)
        thread.pin(by=owner)
        thread.say(WELCOME, by=owner)
    return True
