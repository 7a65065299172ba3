-- Deploy turnkeep:tables/responses to pg
-- requires: schema/turnkeep
-- requires: types/sha256

begin;

create table turnkeep.responses (
    owner_id uuid not null,
    hits bigint not null default 0,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    last_hit_at timestamptz not null default now(),
    -- Coarse on purpose, as in public.conversations: an index on last_hit_at would make
    -- every hit write to all indexes.
    active_at timestamptz not null generated always as (
        date_bin('5 minutes', last_hit_at, timestamptz '2000-01-01 00:00:00+00')
    ) stored,
    size_bytes integer not null,
    key turnkeep.sha256 not null,
    scope turnkeep.sha256,
    embedding real[],
    value jsonb not null,
    constraint responses_pkey primary key (key, owner_id),
    constraint responses_size_bytes_is_at_most_1_mib
    check (size_bytes between 0 and 1048576),
    constraint responses_embedding_has_its_scope
    check (embedding is null or scope is not null)
)
with (fillfactor = 90);

-- With the size, so that cache_purge adds them up without the answers.
create index responses_expires_at_idx on turnkeep.responses (expires_at)
include (size_bytes);
create index responses_active_at_idx on turnkeep.responses (active_at);
create index responses_scope_owner_id_idx on turnkeep.responses (scope, owner_id)
where embedding is not null;

comment on table turnkeep.responses is
$comment$Answers of models, to be given again for the same request. Whatever is here may
go at any time.$comment$;
comment on column turnkeep.responses.owner_id is
'Whose answers they are; nobody else is given them.';
comment on column turnkeep.responses.hits is
'In how many seconds it was found: a hit in the second of another is not written.';
comment on column turnkeep.responses.created_at is 'When it was put here.';
comment on column turnkeep.responses.expires_at is 'From when on it is not given.';
comment on column turnkeep.responses.last_hit_at is
'When it was found for the last time, or put here.';
comment on column turnkeep.responses.active_at is
'last_hit_at, down to five minutes; cache_purge evicts by it.';
comment on column turnkeep.responses.size_bytes is 'Length of value as text.';
comment on column turnkeep.responses.key is
'SHA-256 of the normalised request, 64 hexadecimal digits.';
comment on column turnkeep.responses.scope is
$comment$SHA-256 of all of the request but its prompt: an answer to a similar prompt is
an answer only to the same model with the same options. Null without an embedding.$comment$;
comment on column turnkeep.responses.embedding is
'The vector of the prompt, for cache_nearest; null for none.';
comment on column turnkeep.responses.value is 'The answer, any JSON but null.';

alter table turnkeep.responses enable row level security;

create policy responses_functions on turnkeep.responses
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy responses_service on turnkeep.responses
to service_role
using (true);

revoke all on table turnkeep.responses
from public, anon, authenticated, service_role;
grant select, insert, update, delete on table turnkeep.responses to service_role;
-- For forget_owner.
grant select, delete on table turnkeep.responses to turnkeep_api;

commit;
