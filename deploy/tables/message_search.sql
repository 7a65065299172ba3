-- Deploy turnkeep:tables/message_search to pg
-- requires: tables/messages
-- requires: types/ordinal

begin;

-- Beside the messages and not in them: an index for words costs more than the turn that
-- brings them, so a worker fills it afterwards.
create table turnkeep.message_search (
    conversation_id uuid not null,
    owner_id uuid not null,
    seq turnkeep.ordinal not null,
    place turnkeep.ordinal not null,
    revision integer not null,
    tsv tsvector not null,
    constraint message_search_pkey primary key (conversation_id, seq),
    constraint message_search_conversation_id_owner_id_fkey
    foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id)
    on delete cascade
);

-- Without a list of pending entries, which every search would have to go through.
create index message_search_tsv_idx on turnkeep.message_search
using gin (tsv) with (fastupdate = off);

comment on table turnkeep.message_search is
$comment$One row a message that search_messages finds. Filled by index_messages; a row
goes with its message.$comment$;
comment on column turnkeep.message_search.conversation_id is
'With seq, the message.';
comment on column turnkeep.message_search.owner_id is 'The message''s owner.';
comment on column turnkeep.message_search.seq is
'With conversation_id, the message.';
comment on column turnkeep.message_search.place is
'The order among the owner''s messages, the oldest first, from 1; gaps are possible.';
comment on column turnkeep.message_search.revision is
'That of turnkeep.search_state when the words were taken.';
comment on column turnkeep.message_search.tsv is
$comment$The words of the message, and three more that make the index one for each
owner and each stretch of the owner's places: @owner_id, @owner_id/1024/n and
@owner_id/32768/n, where n counts places in so many.$comment$;

alter table turnkeep.message_search enable row level security;

-- The one table that turnkeep_api reads without a policy that names the owner. The
-- operator @@ is not leakproof: behind such a policy no index would serve it.
-- find_messages, the only one that reads here, names the owner itself, and tells ids.
create policy message_search_functions_read on turnkeep.message_search
for select to turnkeep_api
using (true);

create policy message_search_functions_delete on turnkeep.message_search
for delete to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy message_search_service on turnkeep.message_search
to service_role
using (true);

revoke all on table turnkeep.message_search
from public, anon, authenticated, service_role;
grant select, delete on table turnkeep.message_search to turnkeep_api;
grant select, insert, update on table turnkeep.message_search to service_role;

commit;
