-- Deploy turnkeep:types/byte_count to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.byte_count as bigint
constraint byte_count_is_not_negative check (value >= 0);

comment on domain turnkeep.byte_count is
'A size in bytes.';

commit;
