-- Deploy turnkeep:types/ordinal to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.ordinal as bigint
constraint ordinal_is_positive check (value > 0);

comment on domain turnkeep.ordinal is
'A place in an order: 1, 2, 3 and so on.';

commit;
