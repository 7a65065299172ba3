begin;

select plan(1);

set local role anon;

select is(
    health(),
    jsonb_build_object(
        'status', 'ok',
        'schema_version', '0.1.0',
        'server_version', current_setting('server_version'),
        'in_recovery', false,
        'now', now()
    ),
    'everybody may ask, and gets these keys and no others'
);

reset role;

select * from finish();

rollback;
