begin;

select plan(8);

create role tk_backend nologin;
create role tk_gateway nologin noinherit;
grant service_role to tk_backend, tk_gateway;
-- Who deployed need not be a superuser.
do $do$
begin
    execute format('grant tk_backend, tk_gateway to %I', current_user);
end
$do$;

grant usage on schema turnkeep to tk_gateway;
grant execute on function turnkeep.is_service() to tk_gateway;

create function pg_temp.is_service_of_owner()
returns boolean
language sql
volatile
security definer
as 'select turnkeep.is_service()';

set local role service_role;

select ok(turnkeep.is_service(), 'service_role is the service');

set local role tk_backend;

select ok(turnkeep.is_service(), 'and so is who has its rights');

set local role tk_gateway;

select ok(
    not turnkeep.is_service(),
    'who could become service_role, and has not, is not the service'
);

set local role authenticated;

select ok(not turnkeep.is_service(), 'a user is not the service');

set local "request.jwt.claims" to '{"role": "service_role"}';

select ok(not turnkeep.is_service(), 'whatever the claims say');

set local "request.jwt.claims" to '';

select ok(not turnkeep.is_service(), 'or do not say');

select ok(
    not pg_temp.is_service_of_owner(),
    'not even within a function that runs as somebody who is the service'
);

reset role;

select ok(
    turnkeep.is_service(), 'without SET ROLE, who has logged in decides'
);

select * from finish();

rollback;
