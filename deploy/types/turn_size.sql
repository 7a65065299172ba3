-- Deploy turnkeep:types/turn_size to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.turn_size as smallint
constraint turn_size_is_1_to_200 check (value between 1 and 200);

comment on domain turnkeep.turn_size is
'Number of messages in a turn, 1 to 200.';

commit;
