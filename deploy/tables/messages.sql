-- Deploy turnkeep:tables/messages to pg
-- requires: types/message_role
-- requires: tables/conversations
-- requires: types/ordinal
-- requires: types/turn_size
-- requires: types/request_id
-- requires: types/jsonb_object

begin;

create table public.messages (
    -- What new_id returns, without a call of it for every row.
    id uuid not null default encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid()),
                    substring(
                        int8send(
                            (date_part('epoch', clock_timestamp()) * 1000)::bigint
                        ),
                        3
                    ),
                    1,
                    6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid,
    conversation_id uuid not null,
    owner_id uuid not null,
    seq turnkeep.ordinal not null,
    created_at timestamptz not null,
    role public.message_role not null,
    turn_size turnkeep.turn_size,
    content text not null,
    request_id turnkeep.request_id,
    metadata turnkeep.jsonb_object,
    file_ids uuid[],
    constraint messages_pkey primary key (id),
    constraint messages_conversation_id_seq_key unique (conversation_id, seq),
    constraint messages_conversation_id_owner_id_fkey
    foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id)
    on delete cascade,
    constraint messages_request_id_is_on_the_first_of_a_turn
    check (request_id is null or turn_size is not null)
);

-- Exactly once: the request's name stands on the first message of its turn.
create unique index messages_conversation_id_request_id_idx
on public.messages (conversation_id, request_id)
where request_id is not null;

create index idx_messages_conversation_id_created_at
on public.messages (conversation_id, created_at desc);

comment on table public.messages is
$comment$One row a message, in turns of 1 to 200 that were stored together.
Written by append_turn, deleted from the end by truncate_thread.$comment$;
comment on column public.messages.id is 'A uuid in the order of time.';
comment on column public.messages.owner_id is
'The conversation''s owner, here too so that row security needs no join.';
comment on column public.messages.seq is
'The order within the conversation: 1, 2, 3 and so on, without gaps.';
comment on column public.messages.created_at is
'Time of storing; grows with seq, also when the server''s clock does not.';
comment on column public.messages.turn_size is
'Number of messages in the turn, on its first message; null on the others.';
comment on column public.messages.request_id is
'The client''s name for the request that brought the turn, on its first message.';
comment on column public.messages.metadata is 'Any JSON object; null for none.';
comment on column public.messages.file_ids is
'The files that the message speaks of, in the client''s order; null for none.';

alter table public.messages enable row level security;

create policy messages_owner_reads on public.messages
for select to authenticated
using (owner_id = (select turnkeep.current_owner()));

create policy messages_functions on public.messages
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy messages_service on public.messages
to service_role
using (true);

revoke all on table public.messages from public, anon, authenticated, service_role;
grant select on table public.messages to authenticated, service_role;
grant select, insert, delete, update (turn_size) on table public.messages
to turnkeep_api;

commit;
