"""Supabase's REST gateway for tests: HTTP in front of a real database.

`edge` is what Supabase puts in front of PostgREST: API keys. `postgrest` does what
PostgREST does, request by request; ``POSTGREST_BIN`` names a real one to take over.
"""
