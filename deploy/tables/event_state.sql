-- Deploy turnkeep:tables/event_state to pg
-- requires: schema/turnkeep

begin;

create table turnkeep.event_state (
    owner_id uuid not null default '00000000-0000-0000-0000-000000000000',
    pumped_xid xid8 not null default '0',
    pumped_id uuid not null default '00000000-0000-0000-0000-000000000000',
    pruned_xid xid8 not null default '0',
    pruned_id uuid not null default '00000000-0000-0000-0000-000000000000',
    pumped_at timestamptz,
    constraint event_state_pkey primary key (owner_id),
    constraint event_state_is_one_row
    check (owner_id = '00000000-0000-0000-0000-000000000000')
)
with (fillfactor = 50);

insert into turnkeep.event_state default values;

comment on table turnkeep.event_state is
$comment$One row, of the service: how far pump_events has pushed the stream, and up to
where prune_events has deleted it.$comment$;
comment on column turnkeep.event_state.owner_id is 'The nil uuid: the service.';
comment on column turnkeep.event_state.pumped_xid is
'With pumped_id the last event that listeners were told of.';
comment on column turnkeep.event_state.pumped_id is 'See pumped_xid.';
comment on column turnkeep.event_state.pruned_xid is
'With pruned_id the last event that was deleted: a cursor before it has missed some.';
comment on column turnkeep.event_state.pruned_id is 'See pruned_xid.';
comment on column turnkeep.event_state.pumped_at is
'When listeners were told for the last time.';

alter table turnkeep.event_state enable row level security;

create policy event_state_service on turnkeep.event_state
to service_role
using (true);

revoke all on table turnkeep.event_state
from public, anon, authenticated, service_role;
grant select, update on table turnkeep.event_state to service_role;

commit;
