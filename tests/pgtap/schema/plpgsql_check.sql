-- What the server looks at when a line is run, looked at now: types, names, dead code.
begin;

select plan(1);

do $do$
begin
    -- What Supabase brings, for the look into what is executed from a text.
    if to_regclass('storage.objects') is null then
        create schema storage;
        create table storage.objects (bucket_id text, name text, version text);
    end if;

    if to_regnamespace('realtime') is null then
        create schema realtime;
        create function realtime.send(jsonb, text, text, boolean) returns void
        language sql as 'select';
    end if;
end
$do$;

select case
    when not exists (select from pg_extension as e where e.extname = 'plpgsql_check')
        then skip('this server has no extension plpgsql_check', 1)
    else is_empty(
        $$
        select p.oid::regprocedure, c.lineno, c.level, c.message, c.detail, c.query
        from pg_proc as p
        join pg_language as l on l.oid = p.prolang
        cross join plpgsql_check_function_tb(
            p.oid, fatal_errors => false, all_warnings => true
        ) as c
        where p.pronamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
          and l.lanname = 'plpgsql'
          and p.prorettype <> 'trigger'::regtype
          -- An assignment casts, which costs nothing that counts.
          and c.message <> 'target type is different type than source type'
          -- Volatile on purpose: a stable one would see nothing new within a call, and
          -- could not lock.
          and (
              p.proname not in ('find_files', 'pin_files')
              or c.message <> 'routine is marked as VOLATILE, should be STABLE'
          )
        $$,
        'plpgsql_check finds nothing in any function'
    )
end;

select * from finish();

rollback;
