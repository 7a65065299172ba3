-- Types are looked up in the caller's temporary schema too. Were it searched first, as
-- with an empty search_path, the check of a domain there would run as turnkeep_api,
-- which can see the rows of any owner that it names.
begin;

select plan(8);

set local role authenticated;
select set_config(
    'request.jwt.claims', '{"sub": "11111111-1111-4111-8111-111111111111"}', true
);

create function pg_temp.is_mine(value pg_catalog.text)
returns boolean
language plpgsql
as $function$
begin
    if current_user = 'turnkeep_api' then
        raise exception 'the caller''s code runs as turnkeep_api';
    end if;

    return true;
end
$function$;

create domain pg_temp.text as pg_catalog.text
constraint text_is_mine check (pg_temp.is_mine(value));

create function pg_temp.first_id(relation regclass)
returns uuid
language plpgsql
as $function$
declare
    v_id uuid;
begin
    execute format('select r.id from %s as r limit 1', relation) into v_id;
    return v_id;
end
$function$;

select
    lives_ok(
        c.call,
        format('%s does not run what its caller has put in its way', c.name)
    )
from (
    values
    (
        1, 'append_turn',
        $$ select public.append_turn(
            'a', '[{"role": "user", "content": "b"}]',
            '[{"storage_path": "11111111-1111-4111-8111-111111111111/c"}]', 'd'
        ) $$
    ),
    (
        2, 'register_files',
        $$ select public.register_files(
            '[{"storage_path": "11111111-1111-4111-8111-111111111111/e"}]'
        ) $$
    ),
    (
        3, 'link_file_to_conversation',
        $$ select public.link_file_to_conversation(
            pg_temp.first_id('public.conversations'), pg_temp.first_id('public.files')
        ) $$
    ),
    (
        4, 'unlink_files_from_conversation',
        $$ select public.unlink_files_from_conversation(
            pg_temp.first_id('public.conversations'),
            array[pg_temp.first_id('public.files')]
        ) $$
    ),
    (5, 'upsert_conversation', $$ select public.upsert_conversation('a', 'f') $$),
    (6, 'search_messages', $$ select public.search_messages('b') $$),
    (7, 'truncate_thread', $$ select public.truncate_thread('a', 0) $$),
    (8, 'delete_conversation', $$ select public.delete_conversation('a') $$)
) as c (place, name, call)
order by c.place;

select * from finish();

rollback;
