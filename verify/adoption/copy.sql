-- Verify turnkeep:adoption/copy on pg

begin;

-- What was set aside can be compared with what was taken over.
do $do$
begin
    if to_regnamespace('before_turnkeep') is not null then
        perform from before_turnkeep.left_behind limit 1;
    end if;
end
$do$;

rollback;
