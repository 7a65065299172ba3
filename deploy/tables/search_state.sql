-- Deploy turnkeep:tables/search_state to pg
-- requires: schema/turnkeep

begin;

create table turnkeep.search_state (
    owner_id uuid not null default '00000000-0000-0000-0000-000000000000',
    indexed_before uuid not null default '00000000-0000-0000-0000-000000000000',
    settled_before uuid not null default '00000000-0000-0000-0000-000000000000',
    settling_before uuid not null default '00000000-0000-0000-0000-000000000000',
    settling_xid xid8 not null default '0',
    revision integer not null default 1,
    language text not null default 'pg_catalog.simple',
    constraint search_state_pkey primary key (owner_id),
    constraint search_state_is_one_row
    check (owner_id = '00000000-0000-0000-0000-000000000000')
);

insert into turnkeep.search_state default values;

comment on table turnkeep.search_state is
$comment$One row, of the service: how far index_messages has come, and the language.

The id of a message is in the order of time, and not in the order of commits: one that
is committed late has an id below some that are indexed already. So every call looks
through the newest messages again, from indexed_before, which stays behind
settled_before, which follows settling_before when every transaction has ended that had
begun to write by then.$comment$;
comment on column turnkeep.search_state.owner_id is 'The nil uuid: the service.';
comment on column turnkeep.search_state.indexed_before is
'Every message whose id is smaller is indexed.';
comment on column turnkeep.search_state.settled_before is
'Every message whose id is smaller is visible, or never will be.';
comment on column turnkeep.search_state.settling_before is
'What settled_before becomes when all transactions below settling_xid have ended.';
comment on column turnkeep.search_state.settling_xid is
'The first transaction that had not begun to write at settling_before.';
comment on column turnkeep.search_state.revision is
'Number of the language: rows with another one are indexed again.';
comment on column turnkeep.search_state.language is
'A text search configuration with its schema, chosen by set_search_language.';

alter table turnkeep.search_state enable row level security;

create policy search_state_functions on turnkeep.search_state
for select to turnkeep_api
using (true);

create policy search_state_service on turnkeep.search_state
to service_role
using (true);

revoke all on table turnkeep.search_state
from public, anon, authenticated, service_role;
grant select on table turnkeep.search_state to turnkeep_api;
grant select, update on table turnkeep.search_state to service_role;

commit;
