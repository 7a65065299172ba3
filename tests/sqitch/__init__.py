"""The engine, held against recordings of Sqitch, Sqitch itself and psql."""
