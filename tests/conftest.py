"""The shared parts are plugins, a module each."""

from hypothesis import HealthCheck, settings

# The same examples in every run: a failure is the change's, not the day's, and not that
# of a busy machine. New ones are looked for with --hypothesis-profile=default.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

pytest_plugins = [
    "support.marks",
    "support.processes",
    "support.servers",
    "support.databases",
    "support.pgtap",
    "support.gateway",
    "support.transports",
]
