-- Revert turnkeep:tables/event_state from pg

begin;

drop table turnkeep.event_state;

commit;
