-- Deploy turnkeep:types/sha256 to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.sha256 as text collate "C"
constraint sha256_is_lower_case_hex check (value ~ '^[0-9a-f]{64}$');

comment on domain turnkeep.sha256 is
'A SHA-256 as 64 hexadecimal digits, the letters in lower case.';

commit;
