begin;

select plan(2);

select enum_has_labels(
    'public', 'file_type', array['user_upload', 'generated', 'cache'],
    'a file comes from a person, from a model, or can be made again'
);

select isnt_empty(
    $$
    select from pg_type as t
    where t.oid = 'public.file_type'::regtype
      and obj_description(t.oid, 'pg_type') is not null
    $$,
    'the type says what it is for'
);

select * from finish();

rollback;
