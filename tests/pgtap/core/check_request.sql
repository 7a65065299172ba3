begin;

select plan(3);

insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
values ('11111111-1111-4111-8111-111111111111', 'trip', 'request 1');

create temporary table verdict on commit drop as
select
    o.owner_id,
    c.continuation_id,
    r.request_id
from (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid),
    ('22222222-2222-4222-8222-222222222222')
) as o (owner_id)
cross join (values ('trip'), ('other')) as c (continuation_id)
cross join (values ('request 1'), ('request 2'), (null)) as r (request_id)
where
    (o.owner_id, c.continuation_id, r.request_id) is distinct from (
        '11111111-1111-4111-8111-111111111111'::uuid, 'trip', 'request 1'
    );

select throws_ok(
    $$
    select turnkeep.check_request(
        '11111111-1111-4111-8111-111111111111', 'trip', 'request 1'
    )
    $$,
    'PT409', 'the turn was deleted',
    'a request whose turn was deleted is refused'
);

select is(
    (select count(*) from verdict), 11::bigint,
    'there are eleven other requests'
);

select lives_ok(
    $$
    select turnkeep.check_request(v.owner_id, v.continuation_id, v.request_id)
    from verdict as v
    $$,
    'another request, and one of that name of another conversation or owner, is not'
);

select * from finish();

rollback;
