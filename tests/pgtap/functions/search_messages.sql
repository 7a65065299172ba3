begin;

set local client_min_messages to warning;

select plan(15);

select append_turn(
    'trip',
    '[{"role": "user", "content": "When does the train to Rome leave?"},
      {"role": "assistant", "content": "The train to Rome leaves at 9:40."}]'
) as turn \gset
select append_turn(
    'lunch', '[{"role": "user", "content": "Where do the Romans eat? Not in trains."}]'
) as turn \gset
select append_turn(
    'theirs', '[{"role": "user", "content": "A train to Rome, please."}]',
    owner_id => '11111111-1111-4111-8111-111111111111'
) as turn \gset

create function pg_temp.found(reply jsonb)
returns text
language sql
as $function$
select string_agg(
    concat(m.match ->> 'continuation_id', ' ', m.match ->> 'seq'), ', '
    order by m.ordinal
)
from jsonb_array_elements(found.reply -> 'matches')
    with ordinality as m (match, ordinal)
$function$;

select is(
    search_messages('rome'), '{"matches": [], "cursor": null}',
    'nothing is found before it is indexed'
);

select index_messages() as reply \gset

select is(
    search_messages('rome leaves') #- '{matches,0,rank}',
    (
        select
            jsonb_build_object(
                'matches',
                jsonb_build_array(
                    jsonb_build_object(
                        'conversation_id', m.conversation_id,
                        'continuation_id', 'trip',
                        'seq', 2,
                        'role', 'assistant',
                        'snippet', 'train to **Rome** **leaves**',
                        'created_at', m.created_at
                    )
                ),
                'cursor', null
            )
        from public.messages as m
        where m.role = 'assistant'
    ),
    'a match says where it is, who said it and when, and shows the words'
);

select is(
    search_messages('rome') #> '{matches,0,rank}',
    turnkeep.find_messages('rome', 20, null, null) #> '{matches,0,rank}',
    'and how well it matches'
);

select is(
    pg_temp.found(search_messages('train rome')), 'trip 1, trip 2',
    'messages are ranked'
);

select set_search_language('english') as reply \gset

select is(
    pg_temp.found(search_messages('trains')), 'trip 1, trip 2',
    'until it is indexed again a message is found by its words as they were'
);

select index_messages() as reply \gset

select is(
    pg_temp.found(search_messages('trains')), 'lunch 1, trip 1, trip 2',
    'then by those of the new language'
);

select matches(
    search_messages('leaving') #>> '{matches,0,snippet}', '\*\*leave',
    'which the snippet shows too'
);

select is(
    pg_temp.found(
        search_messages('train', 2, search_messages('train', 2) ->> 'cursor')
    ),
    'trip 2',
    'pages follow each other'
);

select is(
    pg_temp.found(
        search_messages('train', owner_id => '11111111-1111-4111-8111-111111111111')
    ),
    'theirs 1',
    'the service may search for an owner'
);

-- A long message, with a word near the end of what is looked at.
select append_turn(
    'long',
    jsonb_build_array(
        jsonb_build_object(
            'role', 'user',
            'content', repeat('so ', 21840) || 'needle ' || repeat('more ', 1000)
        )
    )
) as turn \gset
select index_messages() as reply \gset

select ok(
    search_messages('needle') #>> '{matches,0,snippet}' ~ '\*\*needle\*\*'
    and length(search_messages('needle') #>> '{matches,0,snippet}') < 1000,
    'a snippet is short'
);

-- What is in the index and gone from the messages (a page that is read while they go).
delete from public.messages as m where m.role = 'assistant';

select is(
    pg_temp.found(search_messages('train')), 'lunch 1, trip 1',
    'a message that is gone is on no page'
);

select is(
    jsonb_array_length(search_messages('train', null, null, null) -> 'matches'), 2,
    'null stands for the default'
);

select set_config(
    'request.jwt.claims', '{"sub": "11111111-1111-4111-8111-111111111111"}', true
) as claims \gset
set local role authenticated;

select is(
    pg_temp.found(search_messages('train')), 'theirs 1',
    'a user finds the user''s own'
);

select throws_ok(
    $$
    select search_messages(
        'train', owner_id => '00000000-0000-0000-0000-000000000000'
    )
    $$,
    'PT403', 'owner_id is somebody else',
    'and nobody else''s'
);

select throws_ok(
    $$ select search_messages('') $$,
    'PT422', 'query is empty or too long',
    'it takes what find_messages takes'
);

select * from finish();

rollback;
