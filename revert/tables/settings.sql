-- Revert turnkeep:tables/settings from pg

begin;

drop table turnkeep.settings;

commit;
