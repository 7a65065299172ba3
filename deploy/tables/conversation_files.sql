-- Deploy turnkeep:tables/conversation_files to pg
-- requires: tables/conversations
-- requires: tables/files
-- requires: types/ordinal

begin;

create table public.conversation_files (
    conversation_id uuid not null,
    file_id uuid not null,
    owner_id uuid not null,
    seq turnkeep.ordinal,
    added_at timestamptz not null default clock_timestamp(),
    constraint conversation_files_pkey primary key (conversation_id, file_id),
    -- Neither key cascades. From files, a cleanup that lost a race would take the
    -- fresh link with it and say nothing; from conversations, the files would stay
    -- behind as orphans that nobody has marked.
    constraint conversation_files_conversation_id_owner_id_fkey
    foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id),
    constraint conversation_files_file_id_owner_id_fkey
    foreign key (file_id, owner_id)
    references public.files (id, owner_id)
);

create index idx_conversation_files_file_id on public.conversation_files (file_id);

comment on table public.conversation_files is
$comment$One row a link: this conversation uses this file. The owner is part of both
foreign keys, so a link between two owners is impossible.$comment$;
comment on column public.conversation_files.owner_id is
'Owner of the conversation and of the file.';
comment on column public.conversation_files.seq is
'The seq of the first message of the turn that made the link; null outside a turn.';

alter table public.conversation_files enable row level security;

create policy conversation_files_owner_reads on public.conversation_files
for select to authenticated
using (owner_id = (select turnkeep.current_owner()));

create policy conversation_files_functions on public.conversation_files
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy conversation_files_service on public.conversation_files
to service_role
using (true);

revoke all on table public.conversation_files
from public, anon, authenticated, service_role;
grant select on table public.conversation_files to authenticated, service_role;
grant select, insert, delete on table public.conversation_files to turnkeep_api;

commit;
