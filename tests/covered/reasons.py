"""The lines that no pgTAP test reaches, each with the reason."""

REASONS = {
    (
        "turnkeep.index_messages(integer,interval)",
        """return '{"indexed": 0, "more": false}';""",
    ): "It takes two sessions: tests/isolation/specs/index_against_index.spec.",
    (
        "pump_events(integer)",
        """return '{"leader": false, "events": 0, "topics": 0, "more": false}';""",
    ): "It takes two sessions: tests/isolation/specs/pump_against_pump.spec.",
}
