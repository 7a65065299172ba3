-- Verify turnkeep:types/sha256 on pg

begin;

select repeat('a', 64)::turnkeep.sha256;

rollback;
