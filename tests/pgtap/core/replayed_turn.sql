-- What a retry gets is tested with append_turn; here, what is no retry, and what has
-- changed since.
begin;

select plan(10);

create temporary table turn as
select append_turn(
    'talk', '[{"role": "user", "content": "a"}]',
    '[{"storage_path": "one"}, {"storage_path": "two"}]', 'r',
    owner_id => '11111111-1111-4111-8111-111111111111'
) as reply;

create function pg_temp.replay(
    owner_id uuid, conversation_id uuid, request_id text, paths text[]
)
returns jsonb
language sql
as $function$
select turnkeep.replayed_turn(
    owner_id, conversation_id, request_id, '[{"role": "user", "content": "a"}]',
    turnkeep.read_files(
        owner_id,
        (
            select jsonb_agg(jsonb_build_object('storage_path', p.path))
            from unnest(paths) as p (path)
        ),
        200
    )
)
$function$;

select
    is(
        pg_temp.replay(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'r', array['one', 'two']
        ),
        (t.reply || '{"replayed": true}')
        - '{conversation_id, continuation_id}'::text[],
        'gives what the turn gave'
    )
from turn as t;

select
    is(
        pg_temp.replay(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'another', array['one']
        ),
        null,
        'a request that stored nothing is not replayed'
    )
from turn as t;

select is(
    pg_temp.replay(
        '11111111-1111-4111-8111-111111111111',
        (
            append_turn(
                'other', '[{"role": "user", "content": "a"}]',
                owner_id => '11111111-1111-4111-8111-111111111111'
            ) ->> 'conversation_id'
        )::uuid,
        'r', array['one']
    ),
    null,
    'nor is one that stored a turn of another conversation'
);

select
    is(
        pg_temp.replay(
            '22222222-2222-4222-8222-222222222222',
            (t.reply ->> 'conversation_id')::uuid,
            'r', array['one']
        ),
        null,
        'or of another owner'
    )
from turn as t;

select
    is(
        turnkeep.replayed_turn(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'r', '[{"role": "user", "content": "a"}]', null
        ) -> 'files',
        '[]',
        'a retry that names no files gets none'
    )
from turn as t;

select
    is(
        turnkeep.replayed_turn(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'r',
            jsonb_build_array(jsonb_build_object(
                'role', 'user', 'content', 'a',
                'file_ids', jsonb_build_array(r.reply #> '{files,0,id}')
            )),
            null
        ) - '{request_id, created, messages, replayed, next_seq}'::text[],
        jsonb_build_object(
            'files', '[]'::jsonb,
            'unknown_files', jsonb_build_array(r.reply #> '{files,0,id}')
        ),
        'nor those of another owner'
    )
from turn as t
cross join register_files(
    '[{"storage_path": "theirs"}]', '22222222-2222-4222-8222-222222222222'
) as r (reply);

select append_turn(
    'talk', '[{"role": "user", "content": "b"}]', '[{"storage_path": "three"}]',
    owner_id => '11111111-1111-4111-8111-111111111111'
) is null as is_null;

select
    is(
        jsonb_path_query_array(
            pg_temp.replay(
                '11111111-1111-4111-8111-111111111111',
                (t.reply ->> 'conversation_id')::uuid,
                'r',
                array['one', 'three', 'four']
            ),
            '$.files[*].keyvalue() ? (@.key == "created" || @.key == "linked").value'
        ),
        '[true, true, false, false]',
        'a later turn''s file was neither created nor linked by this one'
    )
from turn as t;

select
    unlink_files_from_conversation(
        (t.reply ->> 'conversation_id')::uuid, array[(t.reply #>> '{files,0,id}')::uuid]
    ) is null as is_null
from turn as t;

select
    is(
        pg_temp.replay(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'r', array['one']
        ) #> '{files,0,linked}',
        'false',
        'a link that has gone since is not said to be there'
    )
from turn as t;

select is(
    (select c.deleted_count from cleanup_orphaned_files('0') as c), 2,
    'nor is the file, once it is cleaned up'
);

select
    is(
        pg_temp.replay(
            '11111111-1111-4111-8111-111111111111',
            (t.reply ->> 'conversation_id')::uuid,
            'r', array['one', 'two']
        ) #>> '{files,0,storage_path}',
        'two',
        'the others come back as before'
    )
from turn as t;

select * from finish();

rollback;
