-- Deploy turnkeep:schema/roles to pg

begin;

-- Roles belong to the cluster: another database may have made them already, and
-- another first deploy may be making them at this moment.
do $do$
declare
    v_role record;
begin
    for v_role in
        select r.name, r.attributes
        from (values
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit'),
            ('turnkeep_api', 'nologin noinherit')
        ) as r (name, attributes)
        where not exists (select from pg_roles as p where p.rolname = r.name)
    loop
        begin
            execute format('create role %I %s', v_role.name, v_role.attributes);
        exception
            -- 42710 from the look-up, 23505 from the index: a concurrent deploy won.
            when duplicate_object or unique_violation then null;
        end;
    end loop;

    if exists (
        select from pg_roles as p
        where p.rolname = 'turnkeep_api'
          and (p.rolsuper or p.rolbypassrls or p.rolcanlogin)
    ) then
        raise exception 'role turnkeep_api has too many rights'
            using
                errcode = 'invalid_role_specification',
                detail = 'It owns the writing functions and must obey row security.',
                hint = 'alter role turnkeep_api nosuperuser nobypassrls nologin;';
    end if;

    -- To hand functions over to turnkeep_api, the deployer must be a member of it.
    if not pg_has_role(current_user, 'turnkeep_api', 'usage') then
        begin
            execute format('grant turnkeep_api to %I', current_user);
        exception
            when unique_violation then null;
            when insufficient_privilege then
                raise exception 'the deploying role is no member of turnkeep_api'
                    using
                        errcode = 'insufficient_privilege',
                        detail = 'Another role made turnkeep_api in this cluster.',
                        hint = format(
                            'As it, or as a superuser: grant turnkeep_api to %I;',
                            current_user
                        );
        end;
    end if;
end
$do$;

commit;
