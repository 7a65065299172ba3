-- Where Supabase Storage is not there, what is like it in parts is not taken for it.
select to_regnamespace('storage') is not null as is_there \gset
\if :is_there
select '1..0 # SKIP Supabase Storage is there';
\quit
\endif

begin;

select plan(7);

create function pg_temp.seen()
returns boolean
language sql
return turnkeep.sees_storage();

create schema other;
create table other.objects (name text);
create table other.buckets (id text);

select is(pg_temp.seen(), false, 'a table of that name elsewhere is none of it');

create schema storage;

select is(pg_temp.seen(), false, 'nor is a schema without tables');

create table storage.buckets (id text);

select is(pg_temp.seen(), false, 'or with others');

create table storage.objects (name text);

select is(pg_temp.seen(), true, 'with storage.objects it is');

grant select on storage.objects to service_role;
set local role service_role;

select is(turnkeep.sees_storage(), false, 'who may not enter it does not see it');

reset role;
grant usage on schema storage to service_role, authenticated;
set local role service_role;

select is(turnkeep.sees_storage(), true, 'who may, and may read the table, does');

set local role authenticated;

select is(turnkeep.sees_storage(), false, 'who may not read the table does not');

reset role;

select * from finish();

rollback;
