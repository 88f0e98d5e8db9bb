"""A list of a thousand costs as many questions as a list of one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.models import Grant
from houses.rights import permitted, rights
from houses.tenancy import inside
from threads.models import Thread


@pytest.mark.parametrize("granted", [False, True])
def test_rights_on_a_thousand_threads_cost_as_many_queries_as_on_one(oak, bo, granted):
    with inside(oak, bo):
        Thread.objects.bulk_create([Thread(house=oak, stream_id=f"stream {n}") for n in range(1000)])
        threads = list(Thread.objects.all())
        if granted:
            Grant.objects.replace(bo, threads[0], "none")
        counted = []
        for some in (threads[:1], threads):
            with CaptureQueriesContext(connection) as captured:
                found = rights(bo, some)
            counted.append(len(captured))
            assert len(found) == len(some)
        with CaptureQueriesContext(connection) as captured:
            seen = list(permitted(Thread.objects.all(), bo))
    assert counted[0] == counted[1] == (2 if granted else 1)
    assert len(seen) == (999 if granted else 1000) and len(captured) <= 3
