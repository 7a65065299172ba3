-- Puts the owner into every key, which a database distributed by owner demands and one
-- machine does not. Runs on plain PostgreSQL, after a deploy; psql -1 -f keys.sql.
--
-- Names stay: the functions name the constraints that they rely on. What changes is
-- that a path is unique for its owner. Between users nothing is lost, since their paths
-- begin with their id; the service must not name paths in a user's folder for itself.

-- Small, and read whoever owns the rows: on every node the same (reference tables).
create temporary table everywhere (relation) as
values ('storage_deletions'), ('search_state'), ('settings'), ('event_state');

create temporary view distributed as
select
    c.oid,
    a.attnum as owner_attnum
from pg_class as c
inner join pg_attribute as a on c.oid = a.attrelid and a.attname = 'owner_id'
where
    c.relkind = 'r'
    and c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
    and c.relname not in (select e.relation from pg_temp.everywhere as e);

do $do$
declare
    v_key record;
begin
    for v_key in
        select
            k.conrelid::regclass as relation,
            k.conname as name,
            pg_get_constraintdef(k.oid) as definition
        from pg_constraint as k
        join pg_temp.distributed as d on d.oid = k.conrelid
        where k.contype in ('p', 'u')
          and d.owner_attnum <> all (k.conkey)
    loop
        execute format(
            'alter table %s drop constraint %I, add constraint %I %s',
            v_key.relation, v_key.name, v_key.name,
            regexp_replace(v_key.definition, '\)$', ', owner_id)')
        );
    end loop;

    for v_key in
        select
            i.indexrelid::regclass as name,
            pg_get_indexdef(i.indexrelid) as definition
        from pg_index as i
        join pg_temp.distributed as d on d.oid = i.indrelid
        where i.indisunique
          and d.owner_attnum <> all (i.indkey::smallint[])
    loop
        execute format('drop index %s', v_key.name);
        execute regexp_replace(
            v_key.definition, '(USING btree \([^)]*)\)', '\1, owner_id)'
        );
    end loop;
end
$do$;

drop view pg_temp.distributed;
drop table pg_temp.everywhere;
