-- Revert turnkeep:adoption/set_aside from pg

begin;

do $do$
declare
    v_name text;
begin
    if to_regnamespace('before_turnkeep') is null then
        return;
    end if;

    foreach v_name in array array['message_role', 'file_type'] loop
        execute format('alter type before_turnkeep.%I set schema public', v_name);
    end loop;

    foreach v_name in array array[
        'conversations', 'files', 'messages', 'conversation_files'
    ] loop
        execute format('alter table before_turnkeep.%I set schema public', v_name);
    end loop;

    drop schema before_turnkeep;
end
$do$;

commit;
