-- Revert turnkeep:schema/roles from pg

begin;

-- The roles stay: they belong to the cluster, and other databases may use them.

commit;
