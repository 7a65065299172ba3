-- Deploy turnkeep:tables/deleted_requests to pg
-- requires: schema/turnkeep
-- requires: types/continuation_id
-- requires: types/request_id

begin;

create table turnkeep.deleted_requests (
    owner_id uuid not null,
    deleted_at timestamptz not null default now(),
    continuation_id turnkeep.continuation_id not null,
    request_id turnkeep.request_id not null,
    constraint deleted_requests_pkey
    primary key (continuation_id, request_id, owner_id)
);

create index deleted_requests_deleted_at_idx
on turnkeep.deleted_requests (deleted_at);

comment on table turnkeep.deleted_requests is
$comment$The requests of deleted turns, for seven days: a retry that comes late must not
bring a turn back.$comment$;
comment on column turnkeep.deleted_requests.owner_id is 'Whose conversation it was.';
comment on column turnkeep.deleted_requests.deleted_at is
'When the turn was deleted; seven days later prune_events deletes the row.';
comment on column turnkeep.deleted_requests.continuation_id is
'Of the turn''s conversation.';
comment on column turnkeep.deleted_requests.request_id is
'The request whose turn was deleted.';

alter table turnkeep.deleted_requests enable row level security;

create policy deleted_requests_functions on turnkeep.deleted_requests
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy deleted_requests_service on turnkeep.deleted_requests
to service_role
using (true);

revoke all on table turnkeep.deleted_requests
from public, anon, authenticated, service_role;
grant select, insert, update, delete on table turnkeep.deleted_requests
to turnkeep_api;
-- For prune_events.
grant select, delete on table turnkeep.deleted_requests to service_role;

commit;
