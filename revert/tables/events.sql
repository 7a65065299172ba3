-- Revert turnkeep:tables/events from pg

begin;

drop table turnkeep.events;

commit;
