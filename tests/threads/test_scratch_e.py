import time
from decimal import Decimal
from django.db import connection
from houses.tenancy import inside
from houses.models import Budget
from threads.models import Spending, Thread
from tests.houses.furniture import sql
from threads.spending import Tokens
from tests.threads.test_spending import usage, used, thread, environment, begin, painter

def test_time(oak, ada, scribe, painter, thread, begin):
    with inside(oak, ada):
        run = begin(scribe)
        sql("""INSERT INTO spendings (house_id, thread_id, agent_id, asked_by_id, run, above, input_tokens, usd, at, model)
        SELECT %s, %s, CASE WHEN n %% 20 = 0 THEN %s::uuid ELSE %s::uuid END, %s, 'r' || n, CASE WHEN n %% 3 = 0 THEN 'r' || (n/3) ELSE '' END, 5, 0.001, now() - (n %% 200) * interval '1 day', 'm' FROM generate_series(1, 100000) n""", oak.pk, thread.pk, scribe.pk, painter.pk, ada.pk)
        def t(label, f, n=5):
            best = []
            for _ in range(n):
                a = time.perf_counter(); f(); best.append(time.perf_counter() - a)
            print(label, round(sorted(best)[n//2] * 1000, 2), "ms")
        t("none", lambda: Spending.objects.left(scribe, run=run.pk))
        Budget.objects.limit(scribe, run_tokens=100, by=ada)
        t("run", lambda: Spending.objects.left(scribe, run=run.pk))
        Budget.objects.limit(scribe, run_tokens=100, month_tokens=10**9, by=ada)
        t("bot month", lambda: Spending.objects.left(scribe, run=run.pk))
        Budget.objects.limit(None, month_tokens=10**9, by=ada)
        t("house month", lambda: Spending.objects.left(scribe, run=run.pk))
        t("by bot", lambda: Spending.objects.by("agent_id"))
        t("thread", lambda: Spending.objects.of_thread(thread).total())
        tokens = used(*[usage(100, 10) for _ in range(2000)])
        t("note 2000", lambda: Spending.objects.note(run, tokens))
        from threads.limits import USED, month_begins
        print(connection.cursor().execute("SELECT 1"))
        with connection.cursor() as c:
            c.execute("EXPLAIN ANALYZE " + USED, {"runs": [run.pk], "bots": [scribe.pk], "of_house": False, "house": oak.pk, "month": month_begins()})
            print("\n".join(r[0] for r in c.fetchall()))
    assert 0
