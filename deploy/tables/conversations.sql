-- Deploy turnkeep:tables/conversations to pg
-- requires: core/new_id
-- requires: core/current_owner
-- requires: core/is_service
-- requires: types/ordinal
-- requires: types/continuation_id
-- requires: types/jsonb_object

begin;

create table public.conversations (
    id uuid not null default turnkeep.new_id(),
    owner_id uuid not null,
    next_seq turnkeep.ordinal not null default 1,
    version turnkeep.ordinal not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    truncated_at timestamptz,
    continuation_id turnkeep.continuation_id not null,
    title text,
    metadata turnkeep.jsonb_object not null default '{}',
    -- Coarse on purpose: an index on updated_at would make every turn write to all
    -- indexes of this table (no HOT update), this one makes one in five minutes.
    active_at timestamptz not null generated always as (
        date_bin('5 minutes', updated_at, timestamptz '2000-01-01 00:00:00+00')
    ) stored,
    -- The owner is part of the key so that the foreign keys to it carry the owner:
    -- one owner's rows can not refer to another's.
    constraint conversations_pkey primary key (id, owner_id),
    -- The owner comes last, here and in other keys: a planner whose statistics are of
    -- one row takes an owner for as good as a key, and would read all of theirs.
    constraint conversations_continuation_id_owner_id_key
    unique (continuation_id, owner_id)
)
-- Each turn updates its conversation and no indexed column: room on the page keeps
-- the update there (HOT), and the indexes untouched.
with (fillfactor = 90);

create index conversations_owner_id_active_at_id_idx
on public.conversations (owner_id, active_at desc, id desc);

comment on table public.conversations is
'One row a conversation. Written by the functions only.';
comment on column public.conversations.id is 'A uuid in the order of time.';
comment on column public.conversations.owner_id is
'The signed-in user, or the nil uuid for what belongs to the service.';
comment on column public.conversations.next_seq is
'The seq of the next message; the row is locked while messages are written.';
comment on column public.conversations.version is
'Grows with every change of the conversation, its messages or its links.';
comment on column public.conversations.updated_at is
'Time of the last change; never earlier than created_at of the newest message.';
comment on column public.conversations.truncated_at is
$comment$When a request of it, or of a deleted conversation of its name, was deleted:
append_turn has to look for such requests then. Null for never.$comment$;
comment on column public.conversations.continuation_id is
'The name that the client gave, 1 to 500 characters, unique for its owner.';
comment on column public.conversations.title is 'For people; optional.';
comment on column public.conversations.metadata is
'Any JSON object; merged key by key when it is written again.';
comment on column public.conversations.active_at is
'updated_at, down to five minutes; list_conversations goes by it.';

alter table public.conversations enable row level security;

create policy conversations_owner_reads on public.conversations
for select to authenticated
using (owner_id = (select turnkeep.current_owner()));

create policy conversations_functions on public.conversations
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy conversations_service on public.conversations
to service_role
using (true);

revoke all on table public.conversations
from public, anon, authenticated, service_role;
grant select on table public.conversations to authenticated, service_role;
-- The right to lock a row, for index_messages, and to write nothing: the column is
-- generated.
grant update (active_at) on table public.conversations to service_role;
grant select, insert, update, delete on table public.conversations
to turnkeep_api;

commit;
