begin;

select plan(4);

select is(
    turnkeep.named_files(
        '[
            {"file_ids": ["f0000000-0000-4000-8000-00000000000d",
                          "f0000000-0000-4000-8000-00000000000b"]},
            {"file_ids": ["f0000000-0000-4000-8000-00000000000a",
                          "f0000000-0000-4000-8000-00000000000d"]}
        ]',
        array[
            'f0000000-0000-4000-8000-00000000000c',
            'f0000000-0000-4000-8000-00000000000b',
            'f0000000-0000-4000-8000-00000000000c'
        ]::uuid[]
    ),
    array[
        'f0000000-0000-4000-8000-00000000000c', 'f0000000-0000-4000-8000-00000000000b',
        'f0000000-0000-4000-8000-00000000000d', 'f0000000-0000-4000-8000-00000000000a'
    ]::uuid[],
    'gives each file once, in the order of its first mention, the turn''s own first'
);

select is(
    turnkeep.named_files('[{}, {"file_ids": null}, {"file_ids": []}]', '{}'), '{}',
    'messages need not name files'
);

select is(
    turnkeep.named_files(
        '[{"file_ids": ["F0000000-0000-4000-8000-00000000000A"]}]',
        array['f0000000-0000-4000-8000-00000000000a']::uuid[]
    ),
    array['f0000000-0000-4000-8000-00000000000a']::uuid[],
    'an id in capitals is the same id'
);

select is(
    turnkeep.named_files('[]', array[null]::uuid[]), '{}',
    'what was not found is not named'
);

select * from finish();

rollback;
