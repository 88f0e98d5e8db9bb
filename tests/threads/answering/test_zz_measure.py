import time, resource, os
from tests.agents.scenarios import say
from tests.threads.conftest import *
from tests.threads.answering.conftest import *
def rss(): return int(open('/proc/self/statm').read().split()[1])*4096/1e6
def test_measure(talk, sage, ada, model):
    figures=[]
    for n in range(12):
        talk.say(f"@Sage {say('plain')}", by=ada)
        t=time.monotonic()
        talk.answer()
        figures.append(((model.requests[-1].at-t)*1000, (time.monotonic()-t)*1000))
    print([f"{a:.0f}/{b:.0f}" for a,b in figures], rss())
    before=rss(); threads=[]
    from threads.answering.aside import follow
    # 10 at once, hanging, in 10 threads
    from houses.tenancy import inside
    from threads.models import Thread
    ts=[]
    for n in range(10):
        with inside(talk.house, ada):
            t=Thread.objects.open_in(talk.house, by=ada, name=f"t{n}"); t.say(f"@Sage {say('hang')}", by=ada); ts.append(t)
    ws=talk.waiting()
    th=[talk.aside(w) for w in ws]
    for w in ws: model.awaits(scenario="hang")
    time.sleep(2)
    print("10 at once", len(model.heard(scenario="hang")), "MB each", (rss()-before)/10)
    for t in ts:
        with inside(talk.house, ada): t.stop(by=ada)
    a=time.monotonic()
    for t in th: t.join()
    print("stopped in", time.monotonic()-a)
