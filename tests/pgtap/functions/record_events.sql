begin;

select plan(17);

set local role service_role;

select is(
    record_events('[
        {"kind": "client_retry"},
        {
            "kind": "client_error", "subject": "trip", "payload": {"attempt": 2},
            "owner_id": "11111111-1111-4111-8111-111111111111"
        },
        {"kind": "client_error", "subject": null, "payload": null, "owner_id": null}
    ]'),
    '{"recorded": 3}',
    'reports are counted'
);

select set_eq(
    $$ select e.owner_id, e.kind, e.subject, e.payload from turnkeep.events as e $$,
    $$
    values
    ('00000000-0000-0000-0000-000000000000'::uuid, 'client_retry', null, '{}'::jsonb),
    ('00000000-0000-0000-0000-000000000000', 'client_error', null, '{}'),
    (
        '11111111-1111-4111-8111-111111111111', 'client_error', 'trip', '{"attempt": 2}'
    )
    $$,
    'and are events'
);

select is(record_events('[]'), '{"recorded": 0}', 'no report is a report');

select
    throws_ok(
        format('select record_events(%L)', v.events),
        'PT400', 'an event has the wrong form', 'an event has a form: ' || v.events
    )
from (
    values
    ('["x"]'), ('[["kind"]]'), ('[{}]'),
    ('[{"kind": 1}]'), ('[{"kind": "client_a", "subject": 1}]'),
    ('[{"kind": "client_a", "payload": []}]'),
    ('[{"kind": "client_a", "owner_id": "x"}]')
) as v (events);

select
    throws_ok(
        format('select record_events(%L)', v.events),
        'PT400', 'events is not an array', 'reports are an array'
    )
from (values (null), ('{}')) as v (events);

select throws_ok(
    $$
    select record_events((
        select jsonb_agg('{"kind": "client_a"}'::jsonb) from generate_series(1, 1001)
    ))
    $$,
    'PT413', 'too many events', 'there are 1000 at most'
);

select
    throws_ok(
        format(
            'select record_events(jsonb_build_array('
            'jsonb_build_object(''kind'', ''client_a'', %L, %s)))',
            v.key, v.value
        ),
        'PT413', 'an event is too large', v.key || ' has a limit'
    )
from (
    values
    ('subject', 'repeat(''x'', 501)'),
    ('payload', 'jsonb_build_object(''x'', repeat(''x'', 4096))')
) as v (key, value);

select
    throws_ok(
        format('select record_events(%L)', v.events),
        'PT422', 'a kind is not allowed', 'no report looks like an event of ours'
    )
from (values ('[{"kind": "turn_appended"}]'), ('[{"kind": "client_"}]')) as v (events);

select * from finish();

rollback;
