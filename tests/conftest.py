"""The shared parts are plugins, a module each."""

pytest_plugins = [
    "support.marks",
    "support.processes",
    "support.servers",
    "support.databases",
    "support.pgtap",
]
