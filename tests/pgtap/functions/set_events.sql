begin;

select plan(6);

set local role service_role;

select is(set_events(false), '{"enabled": false}', 'events are turned off');

reset role;
select append_turn('off', '[{"role": "user", "content": "x"}]');
select upsert_conversation('off', 'Off');

select is_empty('select from turnkeep.events', 'and are not written then');
select is(
    record_events('[{"kind": "client_retry"}]'), '{"recorded": 0}',
    'nor are those of clients'
);

select set_events(true);
create temporary table before as select s.ctid as place from turnkeep.settings as s;
select set_events(true);

select results_eq(
    'select s.ctid from turnkeep.settings as s', 'select b.place from before as b',
    'what is on already is not written'
);

select append_turn('on', '[{"role": "user", "content": "x"}]');

select results_eq(
    'select e.subject::name from turnkeep.events as e', array['on'::name],
    'until they are turned on again'
);

select throws_ok(
    'select set_events(null)', 'PT400', 'enabled is null', 'it is one or the other'
);

select * from finish();

rollback;
