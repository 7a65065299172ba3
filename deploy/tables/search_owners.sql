-- Deploy turnkeep:tables/search_owners to pg
-- requires: schema/turnkeep
-- requires: types/ordinal

begin;

create table turnkeep.search_owners (
    owner_id uuid not null,
    last_place turnkeep.ordinal not null,
    constraint search_owners_pkey primary key (owner_id)
);

comment on table turnkeep.search_owners is
'One row an owner with messages that search_messages finds.';
comment on column turnkeep.search_owners.owner_id is 'Whose messages they are.';
comment on column turnkeep.search_owners.last_place is
'The place in turnkeep.message_search that the owner''s newest message was given.';

alter table turnkeep.search_owners enable row level security;

-- Read by find_messages alone, which names the owner: see turnkeep.message_search.
create policy search_owners_functions_read on turnkeep.search_owners
for select to turnkeep_api
using (true);

create policy search_owners_functions_delete on turnkeep.search_owners
for delete to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy search_owners_service on turnkeep.search_owners
to service_role
using (true);

revoke all on table turnkeep.search_owners
from public, anon, authenticated, service_role;
grant select, delete on table turnkeep.search_owners to turnkeep_api;
grant select, insert, update on table turnkeep.search_owners to service_role;

commit;
