"""What operators can measure, declared once; `arbe.metrics` tells it to Prometheus.

A label is a word of ours: never a house, a name, or anything that somebody wrote.
"""

from prometheus_client import Counter, Gauge, Histogram

QUICK = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds
ASKED = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WORKED = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)

REQUESTS = Counter("arbe_requests", "Requests, by the name of their address.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("arbe_request_seconds", "How long requests took.", ["route"], buckets=ASKED)
REFUSALS = Counter("arbe_refusals", "Requests that were refused, by the code of the refusal.", ["code"])
SIGN_IN_FAILURES = Counter("arbe_sign_in_failures", "Attempts to come in that failed.")
WATCHERS = Gauge("arbe_websocket_watchers", "Pages that watch a thread right now.", multiprocess_mode="livesum")
APPENDS = Counter("arbe_stream_appends", "Appends that streams took.")
APPEND_SECONDS = Histogram("arbe_stream_append_seconds", "How long appends took, to the disk.", buckets=QUICK)
COMMANDS = Counter("arbe_commands", "Commands that came to rest.", ["status"])
COMMAND_SECONDS = Histogram("arbe_command_seconds", "How long commands ran.", buckets=WORKED)
SANDBOX_STARTS = Counter("arbe_sandbox_starts", "Machines that were made, or were not.", ["outcome"])
SWEEP_FAILURES = Counter("arbe_sweep_failures", "Sweeps of the scheduler that failed.", ["sweep"])
REDACTIONS = Counter("arbe_redactions", "Times that a secret was hidden in an output.")
AGENT_LINES = Counter("arbe_agent_lines", "Lines that agents at work have printed.")
