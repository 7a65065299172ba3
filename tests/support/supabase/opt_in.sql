-- The rights that new objects of postgres in public get since 2026-05-30, in all projects
-- since 2026-10-30: what the platform's own statements leave of the older ones. TRUNCATE,
-- REFERENCES and TRIGGER stay, and functions stay open to PUBLIC.

alter default privileges for role postgres in schema public
revoke select, insert, update, delete on tables
from anon, authenticated, service_role;

alter default privileges for role postgres in schema public
revoke usage, select on sequences from anon, authenticated, service_role;

alter default privileges for role postgres in schema public
revoke execute on functions from anon, authenticated, service_role;
