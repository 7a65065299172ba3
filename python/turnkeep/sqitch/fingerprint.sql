-- The schema of a database: a row an object, its kind and name, and what it is.
-- Not in it: what belongs to the system, to an extension, or to the registry %(own)s.
-- concat_ws leaves out what is null: lines that do not apply.
with schemas as (
    select oid, quote_ident(nspname) || '.' as name, nspname, nspowner, nspacl
    from pg_namespace
    where nspname !~ '^pg_' and nspname not in ('information_schema', %(own)s)
        and not exists (
            select from pg_depend
            where classid = 'pg_namespace'::regclass and objid = pg_namespace.oid
                and deptype = 'e'
        )
),
members as (select classid, objid from pg_depend where deptype = 'e'),
relations as (
    select c.*, n.name || quote_ident(c.relname) as name
    from pg_class c
    join schemas n on n.oid = c.relnamespace
    where not exists (
        select from members m where m.classid = 'pg_class'::regclass and m.objid = c.oid
    )
)
select 'schema ' || quote_ident(n.nspname), concat_ws(e'\n',
    'owner ' || n.nspowner::regrole,
    'privileges ' || (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(coalesce(n.nspacl, acldefault('n', n.nspowner))) as entry
    ),
    'comment ' || obj_description(n.oid, 'pg_namespace'))
from schemas n
union all
select 'extension ' || quote_ident(e.extname),
    concat_ws(e'\n', e.extversion, 'schema ' || e.extnamespace::regnamespace)
from pg_extension e
union all
select 'relation ' || c.name, concat_ws(e'\n',
    'kind ' || c.relkind::text || c.relpersistence::text,
    'owner ' || c.relowner::regrole,
    'options ' || array_to_string(c.reloptions, ', '),
    case when c.relrowsecurity then 'row security' end,
    case when c.relforcerowsecurity then 'row security for the owner' end,
    'replica identity ' || nullif(c.relreplident, 'd')::text,
    'partition by ' || pg_get_partkeydef(c.oid),
    'partition ' || pg_get_expr(c.relpartbound, c.oid),
    'inherits ' || (
        select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
        from pg_inherits i where i.inhrelid = c.oid
    ),
    case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
    'privileges ' || (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(coalesce(c.relacl, acldefault(
            case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner
        ))) as entry
    ),
    'comment ' || obj_description(c.oid, 'pg_class'))
from relations c
where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
union all
select 'column ' || c.name || '.' || quote_ident(a.attname), concat_ws(e'\n',
    'type ' || format_type(a.atttypid, a.atttypmod),
    'collation ' || nullif(a.attcollation, t.typcollation)::regcollation,
    case when a.attnotnull then 'not null' end,
    'identity ' || nullif(a.attidentity, '')::text,
    'generated ' || nullif(a.attgenerated, '')::text,
    'default ' || pg_get_expr(f.adbin, f.adrelid),
    'storage ' || nullif(a.attstorage, t.typstorage)::text,
    'privileges ' || (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(a.attacl) as entry
    ),
    'comment ' || col_description(c.oid, a.attnum))
from relations c
join pg_attribute a on a.attrelid = c.oid
join pg_type t on t.oid = a.atttypid
left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    and a.attnum > 0 and not a.attisdropped
union all
select 'sequence ' || c.name, concat_ws(e'\n',
    'type ' || s.seqtypid::regtype,
    'from ' || s.seqmin || ' to ' || s.seqmax || ' by ' || s.seqincrement,
    'start ' || s.seqstart, 'cache ' || s.seqcache, case when s.seqcycle then 'cycle' end)
from relations c
join pg_sequence s on s.seqrelid = c.oid
union all
select 'constraint ' || coalesce(r.name, t.oid::regtype::text) || '.'
    || quote_ident(c.conname), concat_ws(e'\n',
    pg_get_constraintdef(c.oid),
    case when not c.convalidated then 'not validated' end,
    'comment ' || obj_description(c.oid, 'pg_constraint'))
from pg_constraint c
join schemas n on n.oid = c.connamespace
left join relations r on r.oid = c.conrelid
left join pg_type t on t.oid = c.contypid
where r.oid is not null or (t.oid is not null and not exists (
    select from members m where m.classid = 'pg_type'::regclass and m.objid = t.oid
))
union all
select 'index ' || c.name, concat_ws(e'\n',
    pg_get_indexdef(c.oid),
    case when not i.indisvalid then 'invalid' end,
    case when i.indisclustered then 'clustered' end,
    case when i.indisreplident then 'replica identity' end,
    'comment ' || obj_description(c.oid, 'pg_class'))
from relations c
join pg_index i on i.indexrelid = c.oid
where exists (select from relations r where r.oid = i.indrelid)
union all
select 'function ' || p.oid::regprocedure, concat_ws(e'\n',
    case
        when p.prokind = 'a' then concat_ws(' ',
            'aggregate', a.aggtransfn, a.aggfinalfn, a.aggtranstype::regtype,
            a.agginitval)
        else pg_get_functiondef(p.oid)
    end,
    'owner ' || p.proowner::regrole,
    'privileges ' || (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) as entry
    ),
    'comment ' || obj_description(p.oid, 'pg_proc'))
from pg_proc p
join schemas n on n.oid = p.pronamespace
left join pg_aggregate a on a.aggfnoid = p.oid
where not exists (
    select from members m where m.classid = 'pg_proc'::regclass and m.objid = p.oid
)
union all
select 'type ' || t.oid::regtype, concat_ws(e'\n',
    'kind ' || t.typtype::text,
    'owner ' || t.typowner::regrole,
    'labels ' || (
        select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
        from pg_enum e where e.enumtypid = t.oid
    ),
    case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
    case when t.typnotnull then 'not null' end,
    'default ' || t.typdefault,
    'range of ' || (
        select r.rngsubtype::regtype::text from pg_range r where r.rngtypid = t.oid
    ),
    'privileges ' || (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(coalesce(t.typacl, acldefault('T', t.typowner))) as entry
    ),
    'comment ' || obj_description(t.oid, 'pg_type'))
from pg_type t
join schemas n on n.oid = t.typnamespace
left join pg_class c on c.oid = t.typrelid
-- A table's row type and every type's array come and go with it.
where (c.oid is null or c.relkind = 'c') and t.typtype <> 'm'
    and not exists (select from pg_type e where e.typarray = t.oid)
    and not exists (
        select from members m where m.classid = 'pg_type'::regclass and m.objid = t.oid
    )
union all
select 'trigger ' || quote_ident(t.tgname) || ' on ' || c.name, concat_ws(e'\n',
    pg_get_triggerdef(t.oid), 'enabled ' || t.tgenabled::text,
    'comment ' || obj_description(t.oid, 'pg_trigger'))
from relations c
join pg_trigger t on t.tgrelid = c.oid
where not t.tgisinternal
union all
select 'rule ' || quote_ident(r.rulename) || ' on ' || c.name, pg_get_ruledef(r.oid)
from relations c
join pg_rewrite r on r.ev_class = c.oid
where r.rulename <> '_RETURN'
union all
select 'policy ' || quote_ident(p.polname) || ' on ' || c.name, concat_ws(e'\n',
    'for ' || p.polcmd::text,
    case when not p.polpermissive then 'restrictive' end,
    'to ' || (
        select string_agg(
            case role when 0 then 'public' else role::regrole::text end, ', '
            order by role::regrole::text
        )
        from unnest(p.polroles) as role
    ),
    'using ' || pg_get_expr(p.polqual, p.polrelid),
    'with check ' || pg_get_expr(p.polwithcheck, p.polrelid),
    'comment ' || obj_description(p.oid, 'pg_policy'))
from relations c
join pg_policy p on p.polrelid = c.oid
union all
select 'statistics ' || n.name || quote_ident(s.stxname),
    pg_get_statisticsobjdef(s.oid)
from pg_statistic_ext s
join schemas n on n.oid = s.stxnamespace
union all
select concat_ws(' ', 'default privileges of', d.defaclrole::regrole,
    'in ' || nullif(d.defaclnamespace, 0)::regnamespace, 'on', d.defaclobjtype), (
        select string_agg(entry::text, ', ' order by entry::text)
        from unnest(d.defaclacl) as entry
    )
from pg_default_acl d
where d.defaclnamespace = 0 or exists (
    select from schemas n where n.oid = d.defaclnamespace
)
union all
select concat_ws(' ', 'setting', split_part(entry, '=', 1),
    'of ' || nullif(s.setrole, 0)::regrole), entry
from pg_db_role_setting s
cross join unnest(s.setconfig) as entry
where s.setdatabase = (select oid from pg_database where datname = current_database())
union all
select 'event trigger ' || quote_ident(e.evtname), concat_ws(' ',
    e.evtevent, e.evtfoid::regprocedure, e.evtenabled, array_to_string(e.evttags, ', '))
from pg_event_trigger e
union all
select 'publication ' || quote_ident(p.pubname), concat_ws(' ',
    p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, (
        select string_agg(r.prrelid::regclass::text, ', ' order by r.prrelid::regclass::text)
        from pg_publication_rel r where r.prpubid = p.oid
    ))
from pg_publication p
union all
select 'operator ' || o.oid::regoperator, o.oprcode::text
from pg_operator o
join schemas n on n.oid = o.oprnamespace
where not exists (
    select from members m where m.classid = 'pg_operator'::regclass and m.objid = o.oid
)
union all
select 'cast from ' || c.castsource::regtype || ' to ' || c.casttarget::regtype,
    concat_ws(' ', nullif(c.castfunc, 0)::regprocedure, c.castcontext, c.castmethod)
from pg_cast c
-- The system's own have lower numbers.
where c.oid >= 16384 and not exists (
    select from members m where m.classid = 'pg_cast'::regclass and m.objid = c.oid
)
