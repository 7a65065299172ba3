-- Which events the functions write.
begin;

select plan(11);

create function pg_temp.newest()
returns jsonb
language plpgsql
as $function$
declare
    v_event jsonb;
begin
    select coalesce(
        jsonb_agg(
            jsonb_build_array(e.kind, e.subject, e.conversation_id is not null, e.payload)
            order by e.id
        ),
        '[]'
    )
    into v_event
    from turnkeep.events as e
    where e.owner_id in (
        '11111111-1111-4111-8111-111111111111', '00000000-0000-0000-0000-000000000000'
    );

    delete from turnkeep.events;
    return v_event;
end
$function$;

create temporary table ours on commit drop as
select
    append_turn(
        'talk', '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]',
        jsonb_build_array(jsonb_build_object('storage_path', o.id || '/f')),
        request_id => 'r', owner_id => o.id
    ) as turn,
    o.id as owner_id
from (values ('11111111-1111-4111-8111-111111111111'::uuid)) as o (id);

create temporary table known on commit drop as
select
    (o.turn ->> 'conversation_id')::uuid as conversation_id,
    array[(o.turn #>> '{files,0,id}')::uuid] as file_ids
from ours as o;

select is(
    pg_temp.newest(),
    '[["turn_appended", "talk", true,
        {"created": true, "messages": 2, "files": 1, "next_seq": 3}]]',
    'a turn is one event'
);

select append_turn(
    'talk', '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]',
    jsonb_build_array(jsonb_build_object('storage_path', o.owner_id || '/f')),
    request_id => 'r', owner_id => o.owner_id
) from ours as o;

select link_files_to_conversation(k.conversation_id, k.file_ids) from known as k;
select upsert_conversation('talk', owner_id => o.owner_id) from ours as o;
select truncate_thread('talk', 2, o.owner_id) from ours as o;
select delete_conversation('none', o.owner_id) from ours as o;
select cleanup_orphaned_files('0');
select cache_purge();
select forget_owner('22222222-2222-4222-8222-222222222222');

select is(
    pg_temp.newest(), '[]',
    'a replay, and whatever else changes nothing, is none'
);

select upsert_conversation('talk', 'Talk', owner_id => o.owner_id) from ours as o;
select is(
    pg_temp.newest(), '[["conversation_changed", "talk", true, {"created": false}]]',
    'a new title is an event'
);

select upsert_conversation('other', owner_id => o.owner_id) from ours as o;
select is(
    pg_temp.newest(), '[["conversation_changed", "other", true, {"created": true}]]',
    'and so is a new conversation'
);

select unlink_files_from_conversation(k.conversation_id, k.file_ids) from known as k;
select is(
    pg_temp.newest(),
    '[["files_unlinked", "talk", true, {"files": 1, "orphaned": 1}]]',
    'an unlink is an event'
);

select link_files_to_conversation(k.conversation_id, k.file_ids) from known as k;
select is(
    pg_temp.newest(), '[["files_linked", "talk", true, {"files": 1}]]',
    'and so is a link'
);

select truncate_thread('talk', 1, o.owner_id) from ours as o;
select is(
    pg_temp.newest(),
    '[["thread_truncated", "talk", true,
        {"messages": 1, "unlinked_files": 0, "next_seq": 2}]]',
    'the way back to an earlier message is an event'
);

select delete_conversation('talk', o.owner_id) from ours as o;
select is(
    pg_temp.newest(),
    '[["conversation_deleted", "talk", true, {"messages": 1, "unlinked_files": 1}]]',
    'a deletion is an event'
);

select cleanup_orphaned_files('0');
select is(
    pg_temp.newest(), '[["orphans_removed", null, false, {"deleted": 1, "healed": 0}]]',
    'a clean-up that found something is an event'
);

select cache_put(repeat('0', 64), '1', owner_id => o.owner_id) from ours as o;
select record_events(jsonb_build_array(jsonb_build_object(
    'kind', 'client_retry', 'owner_id', o.owner_id
))) from ours as o;
select forget_owner(o.owner_id) from ours as o;
select is(
    pg_temp.newest(),
    '[["owner_forgotten", null, false,
        {"messages": 0, "conversations": 1, "files": 0, "more": false}]]',
    'who is forgotten leaves no event but this'
);
select is_empty('select from turnkeep.responses', 'and no answer');

select * from finish();

rollback;
