begin;

select plan(20);

set local role service_role;

select
    cache_put(
        encode(sha256(v.name::bytea), 'hex'),
        to_jsonb(v.name),
        scope => repeat(v.scope, 64),
        embedding => v.embedding::real[], owner_id => v.owner_id::uuid
    )
from (
    values
    ('east', 'a', '{1, 0}', null),
    ('north east', 'a', '{1, 1}', null),
    ('north', 'a', '{0, 2}', null),
    ('up', 'a', '{0, 0, 1}', null),
    ('nowhere', 'a', '{0, 0}', null),
    ('other options', 'b', '{1, 0.1}', null),
    ('somebody', 'a', '{1, 0.1}', '11111111-1111-4111-8111-111111111111')
) as v (name, scope, embedding, owner_id);

create function pg_temp.nearest(direction real[], max_distance float8 default null)
returns jsonb
language sql
return public.cache_nearest(repeat('a', 64), direction, max_distance) -> 'value';

select is(pg_temp.nearest('{10, 1}'), '"east"', 'the nearest is given');
select is(
    pg_temp.nearest('{1, 2}', 1), '"north east"', 'by direction, and not by length'
);
select is(
    pg_temp.nearest('{1, 2}'), null, 'what is not near is not given'
);
select is(
    pg_temp.nearest('{0, 0, 1}'), '"up"', 'a vector is compared with those of its kind'
);
select is(pg_temp.nearest('{1, 0, 0}'), null, 'and with no other');
select is(pg_temp.nearest('{0, 0}', 2), null, 'nothing is near to no direction');
select is(
    round((cache_nearest(repeat('a', 64), '{1, 1}', 2) ->> 'distance')::numeric, 6),
    0.000000,
    'the distance between the same directions is none'
);
select is(
    cache_nearest(
        repeat('a', 64), '{1, 0}', null, '11111111-1111-4111-8111-111111111111'
    ) -> 'value',
    '"somebody"',
    'an owner has answers of its own'
);

reset role;

-- The extension's own place in the catalogue, for a type and an operator like its own.
create function pg_temp.found_elsewhere()
returns setof text
language plpgsql
as $function$
declare
    v_is_there constant boolean := exists (
        select from pg_available_extensions as x where x.name = 'vector'
    );
begin
    if v_is_there or not (
        select r.rolsuper from pg_roles as r where r.rolname = current_user
    )
    then
        return query select skip('needs a superuser, and no extension vector', 1);
        return;
    end if;

    create schema elsewhere;
    create domain elsewhere.vector as real[];
    create function elsewhere.distance(real[], real[]) returns double precision
    language sql return 0.03125;
    create operator elsewhere.<=> (
        leftarg = real[], rightarg = real[], function = elsewhere.distance
    );
    insert into pg_extension (
        oid, extname, extowner, extnamespace, extrelocatable, extversion
    )
    select
        4294967295, 'vector', n.nspowner, n.oid, true, '1'
    from pg_namespace as n where n.nspname = 'elsewhere';
    return query select is(
        cache_nearest(repeat('b', 64), '{1, 0}') -> 'distance', '0.03125',
        'where there is pgvector, in whichever schema, it tells the distance'
    );
    delete from pg_extension as x where x.extname = 'vector';
end
$function$;

select pg_temp.found_elsewhere();

update turnkeep.responses set expires_at = now();

select is(pg_temp.nearest('{10, 1}', 2), null, 'what has expired is not given');

select
    throws_ok(
        format('select cache_nearest(repeat(''a'', 64), %L)', v.embedding),
        'PT400', 'embedding is not complete', 'an embedding is numbers'
    )
from (
    values
    (null), ('{}'), ('{{1}}'), ('{1, null}'),
    ('{1, NaN}'), ('{Infinity, 1}'), ('{1, -Infinity}')
) as v (embedding);

select
    throws_ok(
        format('select cache_nearest(repeat(''a'', 64), ''{1}'', %s)', v.max_distance),
        'PT422', 'max_distance is out of range', 'a distance is between 0 and 2'
    )
from (values (-0.1), (2.1)) as v (max_distance);
select throws_ok(
    $$ select cache_nearest('a', '{1}') $$,
    'PT422', 'key is not a SHA-256', 'a scope is a digest'
);

select * from finish();

rollback;
