-- Deploy turnkeep:tables/events to pg
-- requires: schema/turnkeep
-- requires: types/jsonb_object

begin;

create table turnkeep.events (
    xid xid8 not null default pg_current_xact_id(),
    -- 64 bits of microseconds, then random ones: the order within a transaction, at
    -- half the cost of new_id, which every turn would pay.
    id uuid not null default encode(
        overlay(
            uuid_send(gen_random_uuid()), timestamptz_send(clock_timestamp()), 1, 8
        ),
        'hex'
    )::uuid,
    owner_id uuid not null,
    created_at timestamptz not null default now(),
    conversation_id uuid,
    kind text collate "C" not null,
    subject text collate "C",
    payload turnkeep.jsonb_object not null default '{}',
    -- The one index: the order in which events are read and pruned. Every turn writes
    -- to it, at its right edge.
    constraint events_pkey primary key (xid, id)
);

comment on table turnkeep.events is
$comment$What happened, in the order in which it can be read without a gap: by (xid,
id). Written in the transaction that does what the event says, never changed, pruned by age.

Neither a clock nor a sequence orders commits: what began early may be committed late,
behind a reader who has passed its place. A reader that stops at the horizon,
pg_snapshot_xmin(pg_current_snapshot()), passes nothing: every transaction below it has
ended, and every one that is still to write has a greater xid. A transaction that writes
for long, in any database of the cluster, holds the horizon and with it the
stream.$comment$;
comment on column turnkeep.events.xid is 'The transaction that wrote it.';
comment on column turnkeep.events.id is
'In the order of time, to the microsecond; a uuid of no version.';
comment on column turnkeep.events.owner_id is
'Whom it is about; the nil uuid for the service.';
comment on column turnkeep.events.created_at is 'When its transaction began.';
comment on column turnkeep.events.conversation_id is 'Null when it is about none.';
comment on column turnkeep.events.kind is
'turn_appended, files_linked and so on; what clients report begins with client_.';
comment on column turnkeep.events.subject is
'The continuation_id of the conversation, or what a client names.';
comment on column turnkeep.events.payload is 'Numbers, and no content of messages.';

alter table turnkeep.events enable row level security;

create policy events_functions on turnkeep.events
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy events_service on turnkeep.events
to service_role
using (true);

revoke all on table turnkeep.events from public, anon, authenticated, service_role;
grant select, insert, delete on table turnkeep.events
to turnkeep_api, service_role;

commit;
