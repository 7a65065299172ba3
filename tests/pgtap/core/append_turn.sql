begin;

select plan(5);

-- Somebody else creates the conversation, with a turn of its own, between the look-up
-- and the insert.
create function pg_temp.win_the_race()
returns trigger
language plpgsql
security definer
as $function$
begin
    if pg_trigger_depth() = 1 then
        perform public.append_turn(
            'raced', '[{"role": "user", "content": "first"}]',
            request_id => 'theirs', owner_id => new.owner_id
        );
    end if;

    return new;
end
$function$;

create trigger win_the_race before insert on public.conversations
for each row execute function pg_temp.win_the_race();

create temporary table second on commit drop as
select public.append_turn(
    'raced', '[{"role": "user", "content": "second"}]', request_id => 'ours'
) as reply;

drop trigger win_the_race on public.conversations;

select is(
    (select s.reply -> 'created' from second as s),
    'false',
    'a turn that lost the race to create the conversation has not created it'
);

select is(
    (select s.reply #> '{messages,0,seq}' from second as s),
    '2',
    'its message follows the winner''s'
);

select is(
    public.append_turn(
        'raced', '[{"role": "user", "content": "third"}]'
    ) #> '{messages,0,seq}',
    '3',
    'it has taken its number, so that the next turn gets the next one'
);

select is(
    public.append_turn(
        'raced', '[{"role": "user", "content": "second"}]', request_id => 'ours'
    ) #> '{messages,0,id}',
    (select s.reply #> '{messages,0,id}' from second as s),
    'and its retry finds it'
);

create function pg_temp.ids(step integer)
returns jsonb
language sql
return (
    select
        jsonb_agg(
            format('f0000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))
            order by n * step
        )
    from generate_series(1, 9) as n
);

select is(
    public.append_turn(
        'raced',
        jsonb_build_array(
            jsonb_build_object(
                'role', 'user', 'content', 'fourth', 'file_ids', pg_temp.ids(-1)
            )
        )
    ) -> 'unknown_files',
    pg_temp.ids(1),
    'files that are not there come back sorted'
);

select * from finish();

rollback;
