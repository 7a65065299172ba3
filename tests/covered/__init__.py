"""Which statements of the PL/pgSQL functions the pgTAP tests reach."""
