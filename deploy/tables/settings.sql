-- Deploy turnkeep:tables/settings to pg
-- requires: schema/turnkeep

begin;

create table turnkeep.settings (
    owner_id uuid not null default '00000000-0000-0000-0000-000000000000',
    is_recording_events boolean not null default true,
    constraint settings_pkey primary key (owner_id),
    constraint settings_is_one_row
    check (owner_id = '00000000-0000-0000-0000-000000000000')
);

insert into turnkeep.settings default values;

comment on table turnkeep.settings is
$comment$One row, of the service: what an operator has chosen. Every turn reads it, so
nothing is here that changes often.$comment$;
comment on column turnkeep.settings.owner_id is 'The nil uuid: the service.';
comment on column turnkeep.settings.is_recording_events is
'Whether the functions write events; chosen by set_events.';

alter table turnkeep.settings enable row level security;

create policy settings_functions on turnkeep.settings
for select to turnkeep_api
using (true);

create policy settings_service on turnkeep.settings
to service_role
using (true);

revoke all on table turnkeep.settings
from public, anon, authenticated, service_role;
grant select on table turnkeep.settings to turnkeep_api;
grant select, update on table turnkeep.settings to service_role;

commit;
