-- Deploy turnkeep:types/jsonb_object to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.jsonb_object as jsonb
constraint jsonb_object_is_an_object check (jsonb_typeof(value) = 'object');

comment on domain turnkeep.jsonb_object is
'A JSON object, and no list, string or number.';

commit;
